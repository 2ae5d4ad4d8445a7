# vm_common: virtual machines of this distribution for tests: their root, their image, and how they are started.
# Sourced after common.sh by test_vm.sh and test_vm_golden.sh.
#
# The machine is emulated (tcg): it needs no /dev/kvm, and is some 20 times slower where processes are made.  Its kernel
# and initrd are given to it directly.  Roots are made by mmdebstrap and kept in build-vm/ until what goes in changes.
# shellcheck shell=sh
# shellcheck disable=SC2154 # build is common.sh's

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
case $(. /etc/os-release && echo "$ID") in
ubuntu) kernel=linux-image-virtual ;;
*) kernel=linux-image-cloud-$(dpkg --print-architecture) ;;
esac
folder="build-vm"
mkdir -p "$folder"
# shellcheck disable=SC2034 # for who sources this
vm_machine="qemu-system-x86_64 -accel tcg,thread=multi,tb-size=512 -cpu Nehalem -smp 2 -m 2048 -nodefaults -no-reboot
    -display none"
# shellcheck disable=SC2034
vm_kernel_words='root=/dev/vda rw console=ttyS0 quiet'
vm_packages_always="systemd systemd-sysv dbus udev kmod procps iproute2 util-linux $kernel"

# The packages that hold the shared libraries of what will run there.
libraries()
{
    for program in "$@"; do
        ldd "$program"
    done | awk '/=> \// { print $3 }' | sort -u | while read -r library; do
        library=$(readlink -f "$library")
        dpkg-query -S "$library" 2>/dev/null || dpkg-query -S "*/$(basename "$library")"
    done | sed 's/: .*//; s/:.*//' | sort -u
}

# vm_name KIND RECIPE: the name (without suffix) of files in $folder for a root of this kind, made by this recipe.
vm_name()
{
    echo "$folder/$1-$suite-$(printf '%s' "$2" | sha256sum | cut -c1-12)"
}

# vm_make_root KIND PACKAGES [MMDEBSTRAP OPTIONS]: $folder/root, with a unit of its own left to the caller.
vm_make_root()
{
    vm_kind=$1
    # shellcheck disable=SC2086 # a list of words
    vm_packages=$(printf '%s\n' $vm_packages_always $2 | sort -u | paste -sd, -)
    shift 2
    say "making a root of $suite with systemd (kept in $folder/)"
    rm -rf "$folder/root" "$folder/$vm_kind-$suite"-*
    quietly "$folder/mmdebstrap.log" mmdebstrap --variant=minbase --include="$vm_packages" "$@" "$suite" \
        "$folder/root" || fail "the root could not be made"
    echo '/dev/vda / ext4 rw 0 1' >"$folder/root/etc/fstab"
    echo evalx-vm >"$folder/root/etc/hostname"
}

# vm_unit NAME: the unit NAME that runs /usr/local/sbin/NAME in the machine, whose text comes from standard input.
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

# vm_image NAME SIZE: kernel, initrd and disk of $folder/root, which is gone then.
vm_image()
{
    cp "$(find "$folder/root/boot" -name "vmlinuz-*" | sort | tail -n 1)" "$1.kernel"
    cp "$(find "$folder/root/boot" -name "initrd.img-*" | sort | tail -n 1)" "$1.initrd"
    truncate -s "$2" "$1.img.part"
    quietly "$folder/mkfs.log" mkfs.ext4 -q -F -d "$folder/root" "$1.img.part"
    rm -rf "$folder/root"
    mv "$1.img.part" "$1.img"
}
