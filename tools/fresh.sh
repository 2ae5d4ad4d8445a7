#!/bin/sh
# fresh: ./dev demo and ./dev test as a newcomer meets them: fresh.sh [SUITE] [MIRROR]
#
# A minimal root of the distribution is made in a temporary folder, HEAD is copied in (what is not committed is not),
# and both commands run there in namespaces of their own, entered by pivot_root: a process in a plain chroot may not
# create user namespaces, which evalx needs.  Everything is removed afterwards, also on failure.
set -eu
. tools/common.sh
host_suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
suite=${1:-bookworm}
mirror=${2:-}
folder=$(mktemp -d "${TMPDIR:-/var/tmp}/evalx-fresh-XXXXXX")
root=$folder/root
inside=

cleanup()
{
    trap '' INT TERM
    if [ -n "$inside" ]; then
        kill "$inside" 2>/dev/null || true
        wait "$inside" 2>/dev/null || true
    fi
    # Its mounts were in a namespace that ended with it; should one be left, rm must not go through it.
    rm -rf --one-file-system "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# How this machine reaches its package mirror (proxies, trust, dates) holds in the new root as well.
apt_options()
{
    apt-config dump | grep -E '^Acquire::(https?::|Check-|Retries|AllowInsecure)' | grep -v '""' || true
}

# The distribution's own sources of this machine; others (and their keys) have no business in a fresh root.
host_sources()
{
    # shellcheck disable=SC2016 # the fields are apt's
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$suite" '($1 == "Debian" || $1 == "Ubuntu") && index($3, suite) == 1 {
            print "deb", $2, $3, $4
        }' |
        sort -u
}

keyring()
{
    case $suite in
    bookworm | trixie | forky | sid) echo debian-archive-keyring ;;
    *) case $(. /etc/os-release && echo "$ID") in
        ubuntu) echo ubuntu-keyring ;;
        *) echo ubuntu-archive-keyring ;;
        esac ;;
    esac
}

has_package "$(keyring)" || install_packages "$(keyring)"
sources=
if [ -z "$mirror" ] && [ "$suite" = "$host_suite" ]; then
    [ -n "$(host_sources)" ] || quietly "$folder/update.log" apt-get update
    sources=$(host_sources)
fi
set -- --variant=minbase
case $suite in
bookworm | trixie | forky | sid) ;;
*) set -- "$@" --components=main,universe ;;
esac
apt_options >"$folder/apt.conf"
[ ! -s "$folder/apt.conf" ] || set -- "$@" "--aptopt=$folder/apt.conf"
case $sources$mirror in
*https://*) set -- "$@" --include=ca-certificates ;;
esac
set -- "$@" "$suite" "$root"
if [ -n "$sources" ]; then
    printf '%s\n' "$sources" >"$folder/sources.list"
    set -- "$@" "$folder/sources.list"
elif [ -n "$mirror" ]; then
    set -- "$@" "$mirror"
fi

say "making a minimal $suite"
begin=$(date +%s)
quietly "$folder/mmdebstrap.log" mmdebstrap "$@" || fail "mmdebstrap failed"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
made=$(($(date +%s) - begin))

say "copying HEAD"
mkdir -p "$root/srv/evalx"
git archive HEAD | tar -x -C "$root/srv/evalx"

# run_inside COMMAND: in the background and waited for, so that a signal reaches the trap at once.
run_inside()
{
    say "./dev $1 in the new root"
    unshare --mount --pid --fork --ipc --uts --kill-child sh tools/fresh_enter.sh "$root" "$1" </dev/null &
    inside=$!
    wait "$inside" || fail "./dev $1 failed in a fresh $suite"
    inside=
}

begin=$(date +%s)
run_inside demo
demo=$(($(date +%s) - begin))
begin=$(date +%s)
run_inside "test"
tests=$(($(date +%s) - begin))
say "fresh $suite: root $made s, demo $demo s, test $tests s"
