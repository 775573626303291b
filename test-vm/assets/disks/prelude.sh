# Words of the scripts that work on disks in a node with tools. A line that begins with
# "fault:" fails the case.
exec 2>&1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export MDADM_NO_UDEV=1
mkdir -p /lab/etc/mkdisk/profiles.d /run/mdadm

# conf WIPE < profile: what the agent is told about the disks below /lab.
conf() {
    printf 'WIPE_ON_BOOT=%s\nMKDISK_PROFILE=test\n' "$1" > /lab/etc/mkdisk/mkdisk.conf
    cat > /lab/etc/mkdisk/profiles.d/test
}

apply() {
    rsinit disks apply --root /lab "$@" 2>&1
    echo "apply ended with $?"
}

arrays() {
    ls /sys/block | grep '^md'
}

# Device and place of each ext4, the innermost first.
mounts() {
    grep ' ext4 ' /proc/mounts | cut -d' ' -f1,2 | sort -k2
}

# The array of /system, whoever named it.
mirror() {
    mounts | sed -n 's| /system$||p'
}

unmount() {
    mounts | sort -rk2 | while read device at; do
        umount $at || echo "fault: $at stays mounted"
    done
}

stop() {
    for array in $(arrays); do
        mdadm --stop /dev/$array > /tmp/stop 2>&1 || { echo "fault: $array runs on"; cat /tmp/stop; }
    done
}

undo() {
    unmount
    stop
}

blank() {
    for disk; do
        blkdiscard -f -z /dev/$disk 2> /tmp/said || echo "fault: $disk is not blanked"
    done
}

# Zeros where anybody's superblocks lie, 8 MiB at both ends: all of a large disk takes a slow host
# longer than the kernel waits for a command.
blank_ends() {
    for disk; do
        end=$(($(cat /sys/block/$disk/size) / 2048 - 8))
        for at in 0 $end; do
            dd if=/dev/zero of=/dev/$disk bs=1M count=8 seek=$at conv=fsync 2> /tmp/said ||
                { echo "fault: $disk is not blanked"; cat /tmp/said; }
        done
    done
}

# away CONTROLLER: unplugs it. back: plugs in what was unplugged.
away() {
    echo 1 > /sys/class/nvme/$1/device/remove
    if [ -e /dev/${1}n1 ]; then echo "fault: $1 is still there"; fi
}

back() {
    echo 1 > /sys/bus/pci/rescan
}

# What is mounted and on what, without names and numbers that differ from run to run.
state() {
    mounts | while read device at; do
        block=/sys/block/${device#/dev/}
        echo "$at"
        if [ -d $block/md ]; then
            (cd $block/md; echo "level $(cat level), $(cat raid_disks) slots")
            if [ -e $block/md/degraded ]; then echo "degraded $(cat $block/md/degraded)"; fi
            echo "members $(cd $block/slaves; echo *)"
            mdadm --detail $device | grep -E ' (Name|Array Size|Chunk Size|Consistency) '
            for disk in $(ls $block/slaves); do
                mdadm --examine /dev/$disk | grep -E ' (Checksum|Data Offset|Device Role) ' |
                    sed 's/ [0-9a-f]* - correct/ correct/'
            done
        else
            echo "on ${device#/dev/}"
        fi
        dumpe2fs -h $device 2> /tmp/said | grep -E '^(Filesystem (volume|features|state)|Inode count|Block (count|size)|Reserved block count|RAID|Free)' ||
            { echo "fault: dumpe2fs $device"; cat /tmp/said; }
    done
}

# keep DISK…: all that they hold, past the page cache. Zeros take no memory.
keep() {
    for disk; do
        dd if=/dev/$disk of=/tmp/kept.$disk iflag=direct bs=1M conv=sparse 2> /tmp/said ||
            { echo "fault: $disk is not read"; cat /tmp/said; }
    done
}

# same DISK…: compares all that they hold with what was kept of it.
same() {
    for disk; do
        dd if=/dev/$disk iflag=direct bs=1M 2> /tmp/said | cmp - /tmp/kept.$disk ||
            { echo "fault: $disk differs"; return 1; }
    done
    echo "$# members are the same"
}

# again DISK…: one more run on disks that are ready, killed where it would mount: it has started
# all arrays. Then they are stopped, and every byte of every member is compared.
again() {
    keep "$@"
    killed mount rsinit disks apply --root /lab 2> /tmp/agent
    grep -c '^md.* : active' /proc/mdstat
    stop
    same "$@" || cat /tmp/agent
}

# Unmounts every ext4 and checks it.
check() {
    mounts | sort -rk2 > /tmp/mounts
    while read device at; do
        umount $at || echo "fault: $at stays mounted"
        if e2fsck -fn $device > /tmp/said 2>&1; then
            echo "$at is clean"
        else
            echo "fault: e2fsck of $at: $?"
            cat /tmp/said
        fi
    done < /tmp/mounts
}
