#!/bin/sh
# images: builds language images and runs the tests of the languages in them: ./dev images [--all]
#
# Without --all: C, C++, Python, Java, JavaScript, TypeScript, Go and Rust (2 GB), and then the attacks in these images.
# The last line is "N passed, N failed".  Images that exist and are up to date are kept (EVALX_IMAGES, default
# /opt/evalx/chroots), so a second run only verifies them.  --all also writes docs/guide/LANGUAGES.md.
set -eu
. tools/common.sh
EVALX_LANGUAGES=$PWD/languages
EVALX_BINARY=$PWD/$build/evalx
export EVALX_LANGUAGES EVALX_BINARY

# True if the package sources of the images, and that of npm, can be reached.
sources_answer()
{
    got=$(mktemp)
    # shellcheck disable=SC2016 # expanded by apt
    at=$(apt-get indextargets --format '$(SITE) $(REPO_URI)' | awk '/debian\/?$/ { print $2; exit }')
    result=0
    /usr/lib/apt/apt-helper download-file "${at:-http://deb.debian.org/debian/}dists/trixie/InRelease" "$got" \
        >/dev/null 2>&1 || result=1
    rm -f "$got"
    [ "$result" -eq 0 ] && npm view typescript@5.4.5 version >/dev/null 2>&1
}

case ${1:-} in
--all)
    say "building all images"
    deploy/images/evalx-images build --all
    deploy/images/evalx-images verify
    say "preparing languages"
    "$build/evalx" prepare
    say "testing the languages"
    status=0
    rm -f "$build/languages.json"
    /usr/bin/python3 tools/measure_languages.py "$build/evalx" "$build/languages.json" || status=$?
    /usr/bin/python3 tools/catalogue.py "$build/languages.json"
    exit $status
    ;;
'')
    if ! deploy/images/evalx-images build --unlocked gcc-14 python-3.13 java-21 node-20 typescript-5.4 go-1.24 \
        rust-1.85; then
        if [ -n "${CI:-}" ] && ! sources_answer; then
            say "skipped: images of eight languages (this machine cannot reach trixie's packages, or npm's)"
            echo "0 passed, 0 failed, 1 skipped"
            exit 0
        fi
        fail "the images could not be built"
    fi
    deploy/images/evalx-images verify gcc-14 python-3.13 java-21 node-20 typescript-5.4 go-1.24 rust-1.85
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    say "testing the languages"
    "$build/evalx" languages verify c-gcc14 cpp-20 python-3.13 java-21 node-20 typescript typescript-checked go rust |
        tee "$log"
    say "the attacks in the images"
    /usr/bin/python3 tests/sandbox/run_attacks.py --images | tee -a "$log"
    awk '/ works \(/ { passed++ } / FAILS$/ { failed++; print "FAILED:  language " $1 }
        /^[0-9]+ passed, [0-9]+ failed/ { passed += $1; failed += $3; skipped += $5; ran = 1 }
        END {
            if (!ran || !passed) failed++
            printf "%d passed, %d failed%s\n", passed, failed, skipped ? ", " skipped " skipped" : ""
            exit failed > 0
        }' "$log"
    ;;
*)
    fail "images: expected --all or nothing"
    ;;
esac
