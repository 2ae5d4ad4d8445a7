#!/bin/sh
# provision: deploy/build_ami.sh in minimal roots of its releases, building from source.
#
#   provision.sh [SUITE...]
#   provision.sh --languages default|all|"IMAGE..." [SUITE...]
#   provision.sh --extras [SUITE...]
#
# For each (default: bookworm, trixie and noble): a dry run that changes nothing; a run that is killed while packages
# are installed, one that is killed while it compiles, one that comes to its end, with a program in the sandbox; and one
# more, which changes nothing.  No systemd runs there, so no unit is started: `./dev test-vm golden` does that.
# With --languages (default: what build_ami.sh builds where nothing is said) one run with these images; then each image
# is held to its manifest, every language to all its tests, and a further run changes nothing.
# With --extras (of this machine's release, if none is named) what build_ami.sh installs from elsewhere if it is asked
# to, isolate and the CloudWatch agent, from servers of our own: extras.py.
# Everything is removed afterwards, also on failure.
set -eu
. tools/common.sh
. tests/system/root_common.sh
root_scratch provision

# Without what changes by itself: what enter_root.sh mounts over, caches of apt and ldconfig.
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

stock_root()
{
    rm -rf --one-file-system "$root"
    # What stock images of the release have, and a minimal root has not.
    root_make "$1" "" "$folder" --include=systemd,ca-certificates
    root_trust "$folder"
    mkdir -p "$root/srv/evalx"
    tar --exclude='./build*' --exclude=./.git --exclude=./.cache -cf - . | tar -xf - -C "$root/srv/evalx"
}

# installs_and_repeats SUITE: build_ami.sh interrupted, resumed, repeated.
installs_and_repeats()
{
    provision='deploy/build_ami.sh --images none --no-prepare'
    stock_root "$1"
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
    [ -L "$root/etc/systemd/system/multi-user.target.wants/evalx-egress-firewall.service" ] || fail "the egress firewall is not enabled"
    fingerprint first
    begin=$(date +%s)
    to_the_end "$provision" "up to date"
    say "once more took $(($(date +%s) - begin)) s"
    fingerprint second
    unchanged first second "a second run"
    say "build_ami.sh on $1: passed"
}

# with_languages SUITE: build_ami.sh with images, and what proves the languages in them.
with_languages()
{
    provision=deploy/build_ami.sh
    [ "$languages" = default ] || provision="$provision --images '$languages'"
    stock_root "$1"
    begin=$(date +%s)
    to_the_end "$provision" "a program in the sandbox gave the right answer"
    say "build_ami.sh took $(($(date +%s) - begin)) s"
    to_the_end "evalx-images list && evalx-images verify" "as its manifest says"
    grep -v ' not built ' "$folder/output"
    begin=$(date +%s)
    enter "evalx languages verify"
    wait "$inside" || true
    inside=
    cat "$folder/output"
    works=$(grep -c ' works (' "$folder/output" || true)
    again=$(awk '/ FAILS$/ { print $1 }' "$folder/output" | paste -s -d ' ')
    if [ -n "$again" ]; then
        # A machine with much else to do lets compilers run into their limits of time.
        say "once more: $again"
        to_the_end "evalx languages verify $again" " works ("
        cat "$folder/output"
        works=$((works + $(grep -c ' works (' "$folder/output")))
    fi
    built=$(find "$root/opt/evalx/chroots" -maxdepth 1 -name '*.layers' | wc -l)
    # Each image is some language's.
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

# with_extras SUITE: without building evalx where this machine's fits.
with_extras()
{
    stock_root "$1"
    set -- "$1" --no-self-test
    if [ "$1" = "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" ]; then
        install_for demo
        (build_in "$build") # it has a $folder too
        cp "$build/evalx" "$root/srv/evalx-binary"
        set -- "$@" --binary /srv/evalx-binary
    fi
    begin=$(date +%s)
    /usr/bin/python3 tests/system/provision/extras.py "$root" "$@" || fail "what comes from elsewhere is not right on $1"
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
