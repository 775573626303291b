#!/bin/sh
# Builds the fuzz targets and runs each for FUZZ_SECONDS (60), two at a time, or
# those named as arguments. Ends with 1 if one found something, and says what.
#
# Stable Rust: the coverage that libFuzzer steers by is made by a pass of LLVM, and
# passes can be asked for without nightly. Found inputs go to target/fuzz/found,
# what is worth trying again to target/fuzz/work; agent/fuzz/corpus stays as it is.
set -eu
cd "$(dirname "$0")"
seconds=${FUZZ_SECONDS:-60}
out=$(cd ../.. && pwd)/target/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\(.*\)"/\1/p' Cargo.toml | grep -v rsinit-fuzz)

coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-trace-compares"
# Named, so that build scripts are built without them.
RUSTFLAGS=$coverage cargo build --release --locked --target "$host" --target-dir "$out"

# Trees are unpacked into memory.
TMPDIR=$(mktemp -d /dev/shm/rsinit-fuzz.XXXXXX)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT TERM

# One target: its output to a file, one line to the terminal.
export FUZZ_ONE='
    name=$1 seconds=$2 out=$3 host=$4
    mkdir -p "$out/work/$name" "$out/found/$name" "$out/log"
    log=$out/log/$name
    if "$out/$host/release/$name" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=768 \
        -max_len=8192 -artifact_prefix="$out/found/$name/" -print_final_stats=1 \
        "$out/work/$name" "corpus/$name" >"$log" 2>&1
    then
        runs=$(sed -n "s/^stat::number_of_executed_units: *//p" "$log")
        echo "fuzz: $name: $runs inputs, nothing found"
    else
        echo "fuzz: $name: FOUND SOMETHING, all of it in $log:"
        grep -E "panicked at|ERROR: libFuzzer|assertion|left:|right:" "$log" | head -n 8
        input=$(sed -n "s/.*Test unit written to //p" "$log" | head -n 1)
        echo "fuzz: $name: the input is ${input:-not known}"
        echo "fuzz: $name: again: $out/$host/release/$name ${input:-}"
        exit 1
    fi
'
if ! printf '%s\n' "$@" | xargs -P 2 -I NAME sh -c "$FUZZ_ONE" one NAME "$seconds" "$out" "$host"; then
    echo "fuzz: at least one target found something" >&2
    exit 1
fi
