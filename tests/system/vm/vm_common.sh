# vm_common: virtual machines for tests, of the release of this machine or another: their root file system, their disk
# image and their start.  Sourced after common.sh and root_common.sh by sandbox.sh, golden.sh and compose.sh.
#
# EVALX_VM_SUITE (./dev test-vm --suite) names another release: bookworm, trixie, noble.
# The machine is emulated (tcg), so it needs no /dev/kvm, and starts processes about 20 times more slowly.  qemu loads
# its kernel and initrd directly; the kernel of Ubuntu needs no initrd for such a disk.  Roots are made by mmdebstrap
# and kept in build-vm/ until their contents change.
# shellcheck shell=sh
# shellcheck disable=SC2154 # build and keys are set by the other sourced files

host_suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
suite=${EVALX_VM_SUITE:-$host_suite}
folder="build-vm"
if is_debian "$suite"; then
    kernel=linux-image-cloud-$(dpkg --print-architecture)
else
    # apparmor brings the rule about user namespaces, as on every stock Ubuntu.
    kernel="linux-image-virtual apparmor"
fi
mkdir -p "$folder"
# shellcheck disable=SC2034 # used by the sourcing script
vm_machine="qemu-system-x86_64 -accel tcg,thread=multi,tb-size=512 -cpu Nehalem -smp 2 -m 2048 -nodefaults -no-reboot
    -display none"
# shellcheck disable=SC2034
# no_timer_check: on a busy machine the emulated timer ticks late, and the kernel would panic.
vm_kernel_words='root=/dev/vda rw console=ttyS0 quiet no_timer_check'
vm_packages_always="systemd systemd-sysv dbus udev kmod procps iproute2 util-linux $kernel"

# vm_build: sets $binaries, a build folder with evalx and its test programs for the release of the virtual machine.  For
# another release they are built in a root of that release, which is kept.  $built is that folder as in_release sees it.
vm_build()
{
    binaries=$build
    built=$build
    builder=
    [ "$suite" != "$host_suite" ] || return 0
    builder=$PWD/$folder/builder-$suite
    if [ ! -f "$builder/made" ]; then
        rm -rf --one-file-system "$builder"
        mkdir -p "$builder"
        root_make "$suite" "" "$builder"
        mkdir "$builder/root/srv/evalx"
        : >"$builder/made"
    fi
    tar --exclude='./build*' --exclude=./.git --exclude=./.cache -cf - . | tar -xf - -C "$builder/root/srv/evalx"
    say "building in a $suite"
    unshare --mount --pid --fork --ipc --uts --kill-child sh tests/system/enter_root.sh "$builder/root" \
        ./dev build </dev/null || fail "the build in a $suite failed"
    built=build
    # shellcheck disable=SC2034 # used by the sourcing script
    binaries=$builder/root/srv/evalx/$built
}

# in_release COMMAND...: runs the command in the clone, with the release of the virtual machine.
in_release()
{
    if [ -z "$builder" ]; then
        "$@"
    else
        # shellcheck disable=SC2016 # expanded inside
        chroot "$builder/root" sh -c 'cd /srv/evalx && exec "$@"' sh "$@"
    fi
}

# The packages of the shared libraries that programs for the machine need.
libraries()
{
    for program in "$@"; do
        in_release ldd "$program"
    done | awk '/=> \// { print $3 }' | sort -u | while read -r library; do
        library=$(in_release readlink -f "$library")
        in_release dpkg-query -S "$library" 2>/dev/null || in_release dpkg-query -S "*/$(basename "$library")"
    done | sed 's/: .*//; s/:.*//' | sort -u
}

# vm_name KIND RECIPE: the name, without suffix, of the files in $folder for a root of this kind and recipe.
vm_name()
{
    echo "$folder/$1-$suite-$(printf '%s' "$2" | sha256sum | cut -c1-12)"
}

# vm_make_root KIND PACKAGES [MMDEBSTRAP OPTIONS]: makes $folder/root.  The caller adds its unit.
vm_make_root()
{
    vm_kind=$1
    # shellcheck disable=SC2086 # a list of words
    vm_packages=$(printf '%s\n' $vm_packages_always $2 | sort -u | paste -sd, -)
    shift 2
    say "making a root of $suite with systemd (kept in $folder/)"
    rm -rf "$folder/root" "$folder/$vm_kind-$suite"-*
    keys_of "$suite" "$folder"
    is_debian "$suite" || set -- --components=main,universe --include=apt "$@"
    quietly "$folder/mmdebstrap.log" mmdebstrap --variant=minbase "$keys" --include="$vm_packages" "$@" "$suite" \
        "$folder/root" || fail "the root could not be made"
    echo '/dev/vda / ext4 rw 0 1' >"$folder/root/etc/fstab"
    echo evalx-vm >"$folder/root/etc/hostname"
}

# vm_unit NAME: adds a unit that runs /usr/local/sbin/NAME in the machine; standard input has the text of that script.
# Type=exec: a oneshot would keep `systemctl is-system-running` at "starting".
vm_unit()
{
    cat >"$folder/root/usr/local/sbin/$1"
    cat >"$folder/root/etc/systemd/system/$1.service" <<UNIT
[Unit]
Description=$1, this machine's contact with the test
After=multi-user.target

[Service]
Type=exec
Delegate=yes
ExecStart=/bin/sh /usr/local/sbin/$1
UNIT
    mkdir -p "$folder/root/etc/systemd/system/multi-user.target.wants"
    ln -sf "../$1.service" "$folder/root/etc/systemd/system/multi-user.target.wants/$1.service"
}

# vm_shell_unit: the guest's part of machine.py.  Commands come over the second serial line, one line of base64 each.
# Their output goes back, then their exit status.
vm_shell_unit()
{
    vm_unit evalx-test-shell <<'END'
exec </dev/ttyS1 >/dev/ttyS1 2>&1
stty raw -echo
echo "@@ready"
while IFS= read -r line; do
    printf '%s' "$line" | base64 -d >/run/evalx-test-command
    sh /run/evalx-test-command </dev/null
    printf '\n@@exit %d\n' $?
done
END
}

# vm_network: the interface of the machine gets an address by DHCP; no other interface is changed.
vm_network()
{
    printf '[Match]\nName=en*\n[Network]\nDHCP=yes\n' >"$folder/root/etc/systemd/network/10-vm.network"
    quietly "$folder/enable.log" chroot "$folder/root" systemctl enable systemd-networkd
}

# vm_language_image NAME: builds this language image, and those it is based on, in $folder/images.
vm_language_image()
{
    [ ! -f "$folder/images/$1.layers" ] || return 0
    say "building the image $1"
    EVALX_BINARY=$PWD/$build/evalx deploy/images/evalx-images build --images "$PWD/$folder/images" \
        --languages "$PWD/languages" "$1"
}

# vm_job: makes $job, a folder for the disk of one machine and its input files; removed at the end.
vm_job()
{
    say "packing what the machine is given"
    job=$(mktemp -d "${TMPDIR:-/var/tmp}/evalx-vm-XXXXXX")
    # EVALX_VM_KEEP=yes keeps the disk for inspection.
    trap '[ -n "${EVALX_VM_KEEP:-}" ] && say "kept: $job" || rm -rf "$job"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mkdir "$job/files"
}

# vm_steps TEST LOG NAME [STEP...]: runs the steps of TEST in a machine with the disk of NAME and the files of
# $job/files.
vm_steps()
{
    vm_test=$1
    vm_log=$2
    vm_disk=$3
    shift 3
    truncate -s "$(($(du -sm "$job/files" | cut -f 1) * 12 / 10 + 64))m" "$job/files.img"
    quietly "$folder/mkfs.log" mkfs.ext4 -q -F -m 0 -d "$job/files" "$job/files.img"
    rm -rf "$job/files"
    cp --sparse=always "$vm_disk.img" "$job/disk.img"
    /usr/bin/python3 "tests/system/vm/$vm_test" --folder "$job" --log "$vm_log" \
        --machine "$(vm_start "$vm_disk" | paste -sd ' ' -)" --kernel-words "$vm_kernel_words" "$@"
}

# vm_start NAME: prints the command that starts a machine with the kernel of NAME.
vm_start()
{
    echo "$vm_machine -kernel $1.kernel"
    [ ! -f "$1.initrd" ] || echo "-initrd $1.initrd"
}

# vm_image NAME SIZE: makes kernel, initrd and disk image from $folder/root, and removes that folder.
vm_image()
{
    cp "$(find "$folder/root/boot" -name "vmlinuz-*" | sort | tail -n 1)" "$1.kernel"
    if is_debian "$suite"; then
        cp "$(find "$folder/root/boot" -name "initrd.img-*" | sort | tail -n 1)" "$1.initrd"
    fi
    truncate -s "$2" "$1.img.part"
    quietly "$folder/mkfs.log" mkfs.ext4 -q -F -d "$folder/root" "$1.img.part"
    rm -rf "$folder/root"
    mv "$1.img.part" "$1.img"
}
