#!/bin/sh
# provision: tests deploy/build_ami.sh in minimal roots of its releases, building from source.
#
#   provision.sh [SUITE...]
#   provision.sh --languages default|all|"IMAGE..." [SUITE...]
#   provision.sh --extras [SUITE...]
#
# For each suite (default: bookworm, trixie and noble) there are five runs: a dry run that changes nothing, one that is
# killed while packages are installed, one that is killed while it compiles, a complete one with a program in the
# sandbox, and a repetition that changes nothing.  systemd does not run there, so no unit is started; ./dev test-vm
# golden tests the units.
# --languages: one run with these images ("default" are those that build_ami.sh builds by default).  Then each image
# must match its manifest, each language must pass its tests, and another run must change nothing.
# --extras: isolate and the CloudWatch agent, installed from local servers (extras.py).  The default suite is that of
# this machine. Everything is removed afterwards, also on failure.
set -eu
. tools/common.sh
. tests/system/root_common.sh
root_scratch provision

# Leaves out what changes by itself: the mounts of enter_root.sh and the caches of apt and ldconfig.
fingerprint()
{
    (cd "$root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./run -o -path ./tmp -o \
        -path ./var/cache -o -path ./var/log -o -path ./var/lib/evalx-provision/log -o -path ./.host -o \
        -path ./var/lib/evalx-provision/check -o -path ./var/lib/evalx-provision/lock \) -prune -o \
        -type f -printf '%p %s %m %T@\n' | sort) >"$folder/$1"
}

unchanged()
{
    diff -u "$folder/$1" "$folder/$2" >&2 || fail "$3 changed the files above"
}

enter()
{
    # shellcheck disable=SC2016 # expanded inside
    unshare --mount --pid --fork --ipc --uts --kill-child sh tests/system/enter_root.sh "$root" sh -c "$1" \
        </dev/null >"$folder/output" 2>&1 &
    inside=$!
}

# to_the_end COMMAND WORDS: the command must succeed and print these words.
to_the_end()
{
    enter "$1"
    wait "$inside" || { tail -n 40 "$folder/output" >&2; fail "failed: $1"; }
    inside=
    grep -q "$2" "$folder/output" || { tail -n 40 "$folder/output" >&2; fail "did not print \"$2\": $1"; }
}

# cut_at WORDS SECONDS: kills everything, as a power failure would, this many seconds after it has printed the words.
cut_at()
{
    enter "$provision"
    while ! grep -q "$1" "$folder/output"; do
        kill -0 "$inside" 2>/dev/null || { tail -n 40 "$folder/output" >&2; fail "ended before \"$1\""; }
        sleep 0.2
    done
    sleep "$2"
    kill -9 "$inside"
    wait "$inside" 2>/dev/null || true
    inside=
    say "killed $2 s after \"$1\""
}

stock_root()
{
    rm -rf --one-file-system "$root"
    # Packages that stock images of the release have and a minimal root lacks.
    root_make "$1" "" "$folder" --include=systemd,ca-certificates
    root_trust "$folder"
    mkdir -p "$root/srv/evalx"
    tar --exclude='./build*' --exclude=./.git --exclude=./.cache -cf - . | tar -xf - -C "$root/srv/evalx"
}

# installs_and_repeats SUITE: interrupts, resumes and repeats build_ami.sh.
installs_and_repeats()
{
    provision='deploy/build_ami.sh --images none --no-prepare'
    stock_root "$1"
    fingerprint stock
    to_the_end "$provision --dry-run" "dry run: nothing was changed"
    fingerprint dry
    unchanged stock dry "the dry run"
    cut_at "to be installed" 12
    cut_at "building /srv/evalx" 15
    begin=$(date +%s)
    to_the_end "$provision" "a program in the sandbox printed the expected output"
    say "the rest took $(($(date +%s) - begin)) s"
    /usr/bin/python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$root/etc/evalx/manifest.json"
    for tool in gcc meson ninja; do
        [ ! -e "$root/usr/bin/$tool" ] || fail "$tool was left on the machine"
    done
    [ "$(stat -c %a "$root/etc/evalx/evalx.env")" = 640 ] || fail "evalx.env is open to others"
    [ -L "$root/etc/systemd/system/multi-user.target.wants/evalx-egress-firewall.service" ] ||
        fail "the egress firewall is not enabled"
    fingerprint first
    begin=$(date +%s)
    to_the_end "$provision" "up to date"
    say "once more took $(($(date +%s) - begin)) s"
    fingerprint second
    unchanged first second "a second run"
    say "build_ami.sh on $1: passed"
}

# with_languages SUITE: build_ami.sh with images, and the tests of the languages in them.
with_languages()
{
    provision=deploy/build_ami.sh
    [ "$languages" = default ] || provision="$provision --images '$languages'"
    stock_root "$1"
    begin=$(date +%s)
    to_the_end "$provision" "a program in the sandbox printed the expected output"
    say "build_ami.sh took $(($(date +%s) - begin)) s"
    to_the_end "evalx-images list && evalx-images verify" "matches its manifest"
    grep -v ' not built ' "$folder/output"
    begin=$(date +%s)
    enter "evalx languages verify"
    wait "$inside" || true
    inside=
    cat "$folder/output"
    works=$(grep -c ' works (' "$folder/output" || true)
    again=$(awk '/ FAILS$/ { print $1 }' "$folder/output" | paste -s -d ' ')
    if [ -n "$again" ]; then
        # On a busy machine compilers may exceed their time limits.
        say "once more: $again"
        to_the_end "evalx languages verify $again" " works ("
        cat "$folder/output"
        works=$((works + $(grep -c ' works (' "$folder/output")))
    fi
    built=$(find "$root/opt/evalx/chroots" -maxdepth 1 -name '*.layers' | wc -l)
    # Each image belongs to at least one language.
    if [ "$built" -eq 0 ] || [ "$works" -lt "$built" ]; then
        fail "$built images, but only $works languages"
    fi
    say "$works languages proved in $(($(date +%s) - begin)) s"
    fingerprint first
    to_the_end "$provision" "up to date"
    fingerprint second
    unchanged first second "a second run"
    layers=$(du -sh "$root/opt/evalx/chroots/.layers" | cut -f 1)
    whole=$(du -sh "$root" | cut -f 1)
    say "build_ami.sh on $1: $built images ($layers in layers, the root $whole), $works languages work: passed"
}

# with_extras SUITE: uses the evalx of this machine if it is of the same release.
with_extras()
{
    stock_root "$1"
    set -- "$1" --no-self-test
    if [ "$1" = "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" ]; then
        install_for demo
        (build_in "$build") # in a subshell, because it sets $folder
        cp "$build/evalx" "$root/srv/evalx-binary"
        set -- "$@" --binary /srv/evalx-binary
    fi
    begin=$(date +%s)
    /usr/bin/python3 tests/system/provision/extras.py "$root" "$@" ||
        fail "third-party packages are wrong on $1"
    say "build_ami.sh on $1 with extras: passed ($(($(date +%s) - begin)) s)"
}

test=installs_and_repeats
case ${1:-} in
--languages)
    [ $# -gt 1 ] || fail "--languages wants a value: default, all, or names of images"
    languages=$2
    test=with_languages
    shift 2
    ;;
--extras)
    test=with_extras
    shift
    [ $# -gt 0 ] || set -- "$(. /etc/os-release && echo "$VERSION_CODENAME")"
    ;;
esac
[ $# -gt 0 ] || set -- bookworm trixie noble
for suite in "$@"; do
    $test "$suite"
done
