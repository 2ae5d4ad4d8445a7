#!/bin/sh
# golden: tests deploy/build_ami.sh on a stock machine, in a virtual machine, from its first boot on.
#
#   golden.sh [STEP...]      default: all steps of golden.py, in their order
#
# The root is a minimal Debian or Ubuntu (EVALX_VM_SUITE) with systemd and without evalx.  The packages that
# build_ami.sh installs (--list-packages) are downloaded outside beforehand, because the machine has no network except
# one forwarded port.  Its language image is built outside too.  Everything is kept in build-vm/ until its sources
# change.  The log is golden.log or golden-SUITE.log there.  EVALX_VM_PATIENCE=3 triples all time limits, for a busy
# machine.
set -eu
. tools/common.sh
. tests/system/root_common.sh
. tests/system/vm/vm_common.sh

vm_build
log=$folder/golden.log
[ "$suite" = "$host_suite" ] || log=$folder/golden-$suite.log
image=python-3.13
offline="$(in_release bash deploy/build_ami.sh --any-system --binary "$built/evalx" --images none --list-packages)"
offline="$offline redis-server"
# Stock images have ca-certificates, and setting it up in the machine takes minutes.  Those of Ubuntu also have services
# that disturb runs, which build_ami.sh has to find and stop.
stock=ca-certificates
is_debian "$suite" || stock="$stock ubuntu-minimal unattended-upgrades apport"
name=$(vm_name golden "$vm_packages_always $stock $offline")
if [ ! -f "$name.img" ]; then
    archives=$PWD/$name.packages
    # shellcheck disable=SC2016 # expanded by the hook
    hook='APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -y --no-install-recommends --download-only'
    # shellcheck disable=SC2086 # a list of words
    hook="mkdir -p '$archives/partial' && $hook -o Dir::Cache::archives='$archives' install $(printf '%s ' $offline)"
    vm_make_root golden "$stock" --customize-hook="$hook"
    rm -rf "$archives/partial" "$archives/lock"
    vm_network
    vm_shell_unit
    vm_image "$name" 4g
fi

vm_language_image "$image"
vm_job
mkdir "$job/files/clone"
tar --exclude='./build*' --exclude=./.git --exclude=./.cache -cf - . | tar -xf - -C "$job/files/clone"
cp "$binaries/evalx" "$job/files/"
cp -r "$name.packages" "$job/files/packages"
tar -C "$folder/images" --exclude=./.build --numeric-owner -cf "$job/files/packages/images.tar" .
vm_steps golden.py "$log" "$name" "$@"
say "the golden image passed (log: $log)"
