#!/bin/bash
# What more processors than this machine has would do for unpacking: each thread of
# rsinit gets a processor of its own, a sixth as fast as one here, by a quota of its
# cgroup. Prints seconds, and the ratio to the first count of processors.
#
#   test-vm/bench-processors.sh [ROUNDS [COUNT...]]        (2 rounds; 1 3 4 6)
#
# Needs root, the image of `make bench-fetch`, and a machine that does nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
rsinit=target/x86_64-unknown-linux-musl/release/rsinit
image=target/bench/image/image.img.gz
rounds=${1:-2}
[ $# -gt 1 ] && counts=("${@:2}") || counts=(1 3 4 6)
[ -r $image ] || { echo "no $image: run make bench-fetch first" >&2; exit 1; }

# Version 1 has the controller in a hierarchy of its own.
if [ -e /sys/fs/cgroup/cpu/cpu.cfs_quota_us ]; then
    top=/sys/fs/cgroup/cpu/rsinit-bench threads=tasks
else
    top=/sys/fs/cgroup/rsinit-bench threads=cgroup.threads
    echo +cpu >/sys/fs/cgroup/cgroup.subtree_control
fi
root=$(mktemp -d)
cleanup() {
    mountpoint -q "$root" && umount "$root"
    rmdir "$root" $top/[0-9] $top
}
trap cleanup EXIT
mkdir $top
[ $threads = tasks ] || echo +cpu >$top/cgroup.subtree_control
for i in {0..9}; do
    mkdir $top/"$i"
    if [ $threads = tasks ]; then
        echo 6000 >$top/"$i"/cpu.cfs_period_us
        echo 1000 >$top/"$i"/cpu.cfs_quota_us
    else
        echo threaded >$top/"$i"/cgroup.type
        echo '1000 6000' >$top/"$i"/cpu.max
    fi
done

# Prints how many seconds the unpacking took with $1 processors.
unpack() {
    mount -t tmpfs -o size=6g rsinit-bench "$root"
    local start=$EPOCHREALTIME pid thread last many i=0
    "$rsinit" unpack --processors "$1" --root "$root" $image 2>/dev/null &
    pid=$!
    [ $threads = tasks ] || echo $pid >$top/cgroup.procs
    # Until all threads are there: those that do jobs start last, by the one that writes.
    last=unpack many=1
    [ "$1" -le 2 ] || last=work many=$(($1 < 8 ? $1 - 2 : 6))
    until [ "$(cat /proc/$pid/task/*/comm 2>/dev/null | grep -cx $last)" -eq $many ]; do
        [ -n "$(jobs -r)" ] || { echo "no $many threads named $last" >&2; exit 1; }
    done
    for thread in /proc/$pid/task/*; do
        echo "${thread##*/}" >$top/$((i++))/$threads
    done
    wait $pid
    awk -v from="$start" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f\n", to - from }'
    umount "$root"
}

cat $image >/dev/null
for ((round = 1; round <= rounds; round++)); do
    for count in "${counts[@]}"; do
        seconds=$(unpack "$count")
        [ "$count" = "${counts[0]}" ] && first=$seconds
        awk -v n="$count" -v s="$seconds" -v f="$first" \
            'BEGIN { printf "%2d processors: %5.1f s, %.2f\n", n, s, s / f }'
    done
done
throttled=$(awk '/^nr_throttled/ { sum += $2 } END { print sum }' $top/[0-9]/cpu.stat)
[ "$throttled" -gt 0 ] || { echo "no thread was held back: these numbers say nothing" >&2; exit 1; }
