#!/bin/sh
# compose: tests deploy/compose.yaml with a real Docker engine, in a virtual machine with systemd and cgroup v2.
#
#   compose.sh [STEP...]      default: all steps of compose.py, in their order
#
# The machine is a Debian 13 or Ubuntu 24.04 (EVALX_VM_SUITE) with the engine and compose of the distribution.  It has
# no network except forwarded ports.  The images are built outside (container_images.sh) and loaded, because an emulated
# machine would compile for an hour.  If Docker's registry cannot be reached, redis:7 is Debian's Redis of the same
# version.  Large files are kept in build-vm/ until their sources change.  The log is there too: compose-SUITE.log.
set -eu
. tools/common.sh
. tests/system/root_common.sh
. tests/system/container/container_images.sh
EVALX_VM_SUITE=${EVALX_VM_SUITE:-trixie}
. tests/system/vm/vm_common.sh

case $suite in
trixie) engine="docker.io docker-cli docker-compose" ;;
noble) engine="docker.io docker-compose-v2" ;;
*) fail "no release with a compose of today: $suite (trixie, noble)" ;;
esac
engine="$engine iptables apparmor ca-certificates"
log=$folder/compose-$suite.log
image=python-3.13
name=$(vm_name compose "$vm_packages_always $engine")
if [ ! -f "$name.img" ]; then
    vm_make_root compose "$engine"
    # Profiles of programs that are not there, each compiled at boot; the engine brings its own.
    find "$folder/root/etc/apparmor.d" -maxdepth 1 -type f -delete
    vm_network
    vm_shell_unit
    vm_image "$name" 8g
fi

# A repeated test need not build what has not changed.
images=$PWD/$folder/containers-$(git rev-parse 'HEAD^{tree}' | cut -c1-12)
if [ ! -f "$images/made" ]; then
    rm -rf "$folder"/containers-*
    mkdir "$images"
    (
        root_scratch container
        container_images
        buildah push -q "$container_redis" "docker-archive:$images/redis.docker:${container_redis##*/}"
        buildah push -q evalx "docker-archive:$images/evalx.docker:evalx"
        echo "$container_origin" >"$images/origin"
    )
    : >"$images/made"
fi
say "redis:7 here: $(cat "$images/origin")"

vm_language_image "$image"
vm_job
cp -r deploy "$job/files/deploy"
rm -rf "$job/files/deploy/secrets"
cp "$images"/*.docker "$images/origin" "$job/files/"
tar -C "$folder/images" --exclude=./.build --numeric-owner -cf "$job/files/images.tar" .
vm_steps compose.py "$log" "$name" "$@"
say "deploy/compose.yaml passed under Docker's engine (log: $log)"
