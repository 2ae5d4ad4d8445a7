#!/bin/sh
# golden: a stock machine becomes one of evalx's: deploy/build_ami.sh in a virtual machine, from first boot on.
#
#   golden.sh [STEP...]      default: all steps of golden.py, in their order
#
# The root is a minimal Debian or Ubuntu (EVALX_VM_SUITE) with systemd and nothing of evalx.  What build_ami.sh installs
# there is downloaded here beforehand, as its --list-packages says; the machine has no network but one port that leads
# in.  Its image of a language is built here too.  Everything is kept in build-vm/ until it changes, and the log there,
# in golden.log or golden-SUITE.log.  EVALX_VM_PATIENCE=3: on a busy machine, waits three times as long for everything.
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
# Stock images have ca-certificates; setting it up in the machine takes minutes.  Ubuntu's have what disturbs programs'
# runs too, and has to be found and stopped.
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
