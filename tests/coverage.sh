#!/bin/sh
# coverage: the share of lines of src/ that tests execute: by folder, and as HTML in build-coverage/report/.
#
# Runs the programs of the fast tier, and those of the sandbox with root.  The black-box tests are not counted: evalx
# ends its processes by signals, and a process that a signal ends writes no counts.
set -eu
. tools/common.sh
folder=$build-coverage
build_in "$folder" -Db_coverage=true
find "$folder" -name '*.gcda' -delete
set -- --suite unit --suite property --suite fuzz --suite contract
[ "$(id -u)" -ne 0 ] || set -- "$@" --suite sandbox
say "running the tests"
quietly "$folder/tests.log" meson test -C "$folder" --no-rebuild --num-processes "$(($(nproc) * 2))" "$@" ||
    say "some tests failed, the counts are of those that ran"
mkdir -p "$folder/report"
gcovr --root . --filter 'src/' --gcov-ignore-parse-errors --html-details "$folder/report/index.html" \
    --csv "$folder/report/files.csv" "$folder" >"$folder/gcovr.log" 2>&1 || fail "gcovr failed (see $folder/gcovr.log)"
# Fields: file, lines, lines that ran.
awk -F , '
    function row(name)
    {
        return sprintf("%-10s %6d of %6d lines  %5.1f %%", name, ran[name], lines[name], 100 * ran[name] / lines[name])
    }
    NR > 1 {
        split($1, path, "/")
        lines[path[2]] += $2; ran[path[2]] += $3
        lines["all"] += $2; ran["all"] += $3
    }
    END {
        for (name in lines)
            if (name != "all")
                print row(name) | "sort"
        close("sort")
        print row("all")
    }' "$folder/report/files.csv"
say "by file and line: $folder/report/index.html"
