#!/bin/sh
# fresh: runs ./dev demo and ./dev test on a new minimal system: fresh.sh [SUITE] [MIRROR]
#
# A minimal root of the distribution is made in a temporary folder, and HEAD is copied in (uncommitted changes are not).
# Both commands run there in new namespaces, entered by pivot_root, because a process in a plain chroot may not create
# user namespaces, which evalx needs.  Everything is removed afterwards, also on failure.
set -eu
. tools/common.sh
. tests/system/root_common.sh
suite=${1:-bookworm}
mirror=${2:-}
root_scratch fresh

begin=$(date +%s)
root_make "$suite" "$mirror" "$folder"
made=$(($(date +%s) - begin))

say "copying HEAD"
mkdir -p "$root/srv/evalx"
git archive HEAD | tar -x -C "$root/srv/evalx"

# run_inside COMMAND: runs it in the background and waits, so that a signal reaches the trap at once.
run_inside()
{
    say "./dev $1 in the new root"
    unshare --mount --pid --fork --ipc --uts --kill-child sh tests/system/enter_root.sh "$root" ./dev "$1" </dev/null &
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
