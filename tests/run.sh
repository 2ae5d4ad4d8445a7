#!/bin/sh
# run: runs one tier of the tests and prints the counts: run.sh fast|standard|full
#
#   fast      needs no root and less than a minute: unit and property tests, the store contract on SQLite, the fuzz
#             corpora, the tests of tools/
#   standard  has to pass before a change counts: all test programs, the attacks and the black-box tests; the same under
#             the sanitizers, except black-box tests that are slow or compare compilers
#   full      standard, and all black-box tests under the sanitizers
#
# Everything is built already (./dev test does it).  A phase is one run of meson or pytest; two lanes of phases run side
# by side, since most tests wait more than they compute.  Each phase leaves its results in a folder of $results, which
# junit_sum.py adds up.  The output of a phase appears when it has ended.
set -u
. tools/common.sh
tier=$1
results=$PWD/$build/test-results
jobs=$(($(nproc) * 2))

# The quarantine of freed memory is small, because the attacks check how much memory evalx keeps.
sanitizer_env()
{
    export ASAN_OPTIONS="abort_on_error=0:detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1"
    ASAN_OPTIONS=$ASAN_OPTIONS:quarantine_size_mb=16
    export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"
    export EVALX_TEST_SLOWNESS="${EVALX_TEST_SLOWNESS:-2}"
}

# phase LABEL COMMAND...: runs it; its results belong into $results/LABEL, where its exit status is written too.
phase()
{
    label=$1
    shift
    mkdir -p "$results/$label"
    phase_status=0
    "$@" </dev/null >"$results/$label/log" 2>&1 || phase_status=$?
    echo "$phase_status" >"$results/$label/status"
    say "$label (exit status $phase_status)"
    cat "$results/$label/log"
}

# meson_tests FOLDER [ARGUMENTS OF MESON...]
meson_tests()
{
    folder=$1
    shift
    meson_status=0
    EVALX_JUNIT=$results/$label meson test -C "$folder" --no-rebuild --print-errorlogs --num-processes "$jobs" \
        --timeout-multiplier 3 --logbase "$label" --wrapper "$PWD/tests/junit_wrapper.sh" "$@" || meson_status=$?
    mv "$folder/meson-logs/$label-junit_wrapper.sh.json" "$results/$label/meson.json"
    mv "$folder/meson-logs/$label-junit_wrapper.sh.junit.xml" "$results/$label/meson.xml"
    return "$meson_status"
}

# pytest_tests FOLDER [ARGUMENTS OF PYTEST...]
pytest_tests()
{
    EVALX_BINARY=$PWD/$1/evalx
    PYTHONDONTWRITEBYTECODE=1
    export EVALX_BINARY PYTHONDONTWRITEBYTECODE
    shift
    /usr/bin/python3 -m pytest -q -p no:cacheprovider -n "$jobs" --dist loadgroup --durations=15 \
        --junit-xml="$results/$label/pytest.xml" "$@"
}

fast()
{
    phase fast meson_tests "$build" --suite unit --suite property --suite fuzz --suite fast
    phase tools pytest_tests "$build" tests/tools
}

# Both lanes take about as long.
lane_programs()
{
    # Not beside the attacks, which would notice what these tests do on purpose.
    phase canaries pytest_tests "$build" -n 0 tests/sandbox/test_canaries.py
    phase programs meson_tests "$build"
    sanitizer_env
    phase sanitized-programs meson_tests "$build_asan"
}

lane_black_box()
{
    phase black-box pytest_tests "$build" tests/integration tests/tools
    sanitizer_env
    if [ "$tier" = full ]; then
        phase sanitized-black-box pytest_tests "$build_asan" tests/integration
    else
        phase sanitized-black-box pytest_tests "$build_asan" -m "not slow" tests/integration \
            --ignore tests/integration/test_prepare.py
    fi
}

# A lane in a session of its own, so that all its processes can be stopped together.
start_lane()
{
    setsid sh tests/run.sh "$tier" "$1" &
}

case ${2:-$tier} in
lane_programs | lane_black_box)
    "$2"
    exit
    ;;
esac
rm -rf "$results"
mkdir -p "$results"
case $tier in
fast)
    say "tests that need no root"
    fast
    ;;
standard | full)
    say "test programs, and black-box tests beside them"
    start_lane lane_programs
    programs=$!
    start_lane lane_black_box
    black_box=$!
    trap 'kill -s TERM -- "-$programs" "-$black_box" 2>/dev/null; exit 143' INT TERM HUP
    wait "$programs"
    wait "$black_box"
    ;;
*)
    fail "test: expected fast, full or nothing"
    ;;
esac
say "done"
exec /usr/bin/python3 tests/junit_sum.py "$results"/*/
