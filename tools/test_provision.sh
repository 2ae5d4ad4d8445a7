#!/bin/sh
# test_provision: deploy/build_ami.sh in minimal roots of its releases, building from source.
#
#   test_provision.sh [SUITE...]
#
# For each (default: bookworm, trixie and noble): a dry run that changes nothing; a run that is killed while packages
# are installed, one that is killed while it compiles, one that comes to its end, with a program in the sandbox; and one
# more, which changes nothing.  No systemd runs there, so no unit is started: `./dev test-vm golden` does that.
# Everything is removed afterwards, also on failure.
set -eu
. tools/common.sh
. tools/root_common.sh
root_scratch provision

# Without what changes by itself: what fresh_enter.sh mounts over, caches of apt and ldconfig.
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
    unshare --mount --pid --fork --ipc --uts --kill-child sh tools/fresh_enter.sh "$root" sh -c "$1" \
        </dev/null >"$folder/output" 2>&1 &
    inside=$!
}

# to_the_end COMMAND WORDS: it succeeds, and says these words.
to_the_end()
{
    enter "$1"
    wait "$inside" || { tail -n 40 "$folder/output" >&2; fail "failed: $1"; }
    inside=
    grep -q "$2" "$folder/output" || { tail -n 40 "$folder/output" >&2; fail "does not say \"$2\": $1"; }
}

# cut_at WORDS SECONDS: once it has said these words, and so many seconds later, all of it is killed as by a power cut.
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

provision='deploy/build_ami.sh --images none --no-prepare'
[ $# -gt 0 ] || set -- bookworm trixie noble
for suite in "$@"; do
    rm -rf --one-file-system "$root"
    # What stock images of the release have, and a minimal root has not.
    root_make "$suite" "" "$folder" --include=systemd,ca-certificates
    mkdir -p "$root/srv/evalx"
    tar --exclude='./build*' --exclude=./.git --exclude=./.cache -cf - . | tar -xf - -C "$root/srv/evalx"
    fingerprint stock
    to_the_end "$provision --dry-run" "a dry run: nothing was changed"
    fingerprint dry
    unchanged stock dry "the dry run"
    cut_at "to be installed" 12
    cut_at "building /srv/evalx" 15
    begin=$(date +%s)
    to_the_end "$provision" "a program in the sandbox gave the right answer"
    say "the rest took $(($(date +%s) - begin)) s"
    /usr/bin/python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$root/etc/evalx/manifest.json"
    for tool in gcc meson ninja; do
        [ ! -e "$root/usr/bin/$tool" ] || fail "$tool was left on the machine"
    done
    [ "$(stat -c %a "$root/etc/evalx/evalx.env")" = 640 ] || fail "evalx.env is open to others"
    [ -L "$root/etc/systemd/system/multi-user.target.wants/evalx-guard.service" ] || fail "the guard is not enabled"
    fingerprint first
    begin=$(date +%s)
    to_the_end "$provision" "up to date"
    say "once more took $(($(date +%s) - begin)) s"
    fingerprint second
    unchanged first second "a second run"
    say "build_ami.sh on $suite: passed"
done
