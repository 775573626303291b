#!/bin/sh
# Makes the stages of `make test` or `make test-all` one after another, and says in its last line how
# long each took. A stage is a word; several targets of make in one are made beside one another.
set -eu
cd "$(dirname "$0")/.."
took='' began=$(date +%s)
trap 'echo "all stages: $(($(date +%s) - began)) s:${took% +}"' EXIT
for stage in "$@"; do
    start=$(date +%s)
    # shellcheck disable=SC2086
    make --no-print-directory -j2 $stage
    took="$took $stage $(($(date +%s) - start)) s +"
done
