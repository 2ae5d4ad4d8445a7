#!/bin/sh
# fuzz: builds the libFuzzer targets with clang and runs each on a copy of its corpus: fuzz.sh SECONDS
# A finding is stored in the build folder as crash-*, and libFuzzer prints how to reproduce it.
set -eu
. tools/common.sh
seconds=$1
folder=$build-fuzz
CC=clang
export CC
build_in "$folder" -Dfuzz=true -Db_lundef=false
found=0
any=0
for target in "$folder"/tests/fuzz/fuzz_*; do
    if [ ! -f "$target" ] || [ ! -x "$target" ]; then
        continue
    fi
    any=1
    name=$(basename "$target")
    seeds=$PWD/tests/fuzz/corpus/${name#fuzz_}
    [ -d "$seeds" ] || seeds=
    work=corpus/$name
    mkdir -p "$folder/$work"
    say "$name for $seconds s"
    if ! (cd "$folder" && "tests/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="crash-$name-" "$work" ${seeds:+"$seeds"} >"$name.log" 2>&1); then
        found=$((found + 1))
        tail -n 40 "$folder/$name.log"
    fi
    grep -E 'number_of_executed_units|new_units_added' "$folder/$name.log" || true
done
[ "$any" -eq 1 ] || fail "no fuzz target was built"
say "fuzz: $found finding(s)"
exit $((found > 0))
