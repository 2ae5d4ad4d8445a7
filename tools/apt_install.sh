#!/bin/sh
# apt_install: installs the packages named as arguments.  Meanwhile policy-rc.d keeps their services from starting
# (redis-server would start a daemon); the old policy-rc.d is restored on every exit.
set -eu
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
saved=

restore()
{
    if [ -n "$saved" ]; then
        mv -f "$saved" "$policy"
    else
        rm -f "$policy"
    fi
    rm -f "$log"
}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [ -e "$policy" ]; then
    saved=$policy.before-evalx
    mv -f "$policy" "$saved"
fi
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive
apt()
{
    apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null >>"$log" 2>&1
}
if ! apt update || ! apt install --no-install-recommends "$@"; then
    tail -n 60 "$log" >&2
    exit 1
fi
