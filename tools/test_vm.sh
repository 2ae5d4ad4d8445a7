#!/bin/sh
# test_vm: the sandbox's tests where systemd and a pure cgroup v2 rule: a virtual machine of this distribution.
#
#   test_vm.sh [COMMAND IN THE GUEST...]      default: the sandbox suite and the attacks
#
# The root is made once by mmdebstrap and kept in build-vm/ until its package list changes.  The machine is emulated
# (tcg): it needs no /dev/kvm, and is some 20 times slower where processes are made.  Inside, a unit with Delegate=yes
# runs the job, as evalx-worker.service would; its output comes back over the second serial line.
set -eu
. tools/common.sh

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
case $(. /etc/os-release && echo "$ID") in
ubuntu) kernel=linux-image-virtual ;;
*) kernel=linux-image-cloud-$(dpkg --print-architecture) ;;
esac
folder="build-vm"
mkdir -p "$folder"

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

packages="systemd systemd-sysv dbus udev kmod procps iproute2 util-linux python3 gcc g++ libc6-dev $kernel
    $(libraries "$build/evalx" "$build/tests/sandbox/test_box")"
# shellcheck disable=SC2086 # a list of words
packages=$(printf '%s\n' $packages | sort -u | paste -sd, -)
name=$folder/$suite-$(printf '%s' "$packages" | sha256sum | cut -c1-12)

make_root()
{
    say "making a root of $suite with systemd (kept in $folder/)"
    rm -rf "$folder/root" "$folder"/*.img "$folder"/*.kernel "$folder"/*.initrd
    quietly "$folder/mmdebstrap.log" mmdebstrap --variant=minbase --include="$packages" "$suite" "$folder/root" ||
        fail "the root could not be made"
    root=$folder/root
    cat >"$root/etc/systemd/system/evalx-job.service" <<'END'
[Unit]
Description=the job of this machine
After=multi-user.target

[Service]
Type=exec
Delegate=yes
ExecStart=/bin/sh /usr/local/sbin/evalx-job
END
    cat >"$root/usr/local/sbin/evalx-job" <<'END'
exec >/dev/ttyS1 2>&1
mkdir -p /job
tar -xf /dev/vdb -C /job
cd /job
sh ./job
echo "exit status $?"
sync
systemctl poweroff --force --force
END
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -sf ../evalx-job.service "$root/etc/systemd/system/multi-user.target.wants/evalx-job.service"
    echo '/dev/vda / ext4 rw 0 1' >"$root/etc/fstab"
    echo evalx-vm >"$root/etc/hostname"
    cp "$(find "$root/boot" -name "vmlinuz-*" | sort | tail -n 1)" "$name.kernel"
    cp "$(find "$root/boot" -name "initrd.img-*" | sort | tail -n 1)" "$name.initrd"
    truncate -s 3g "$name.img.part"
    quietly "$folder/mkfs.log" mkfs.ext4 -q -F -d "$root" "$name.img.part"
    rm -rf "$root"
    mv "$name.img.part" "$name.img"
}

[ -f "$name.img" ] || make_root

say "packing the job"
job=$(mktemp -d "${TMPDIR:-/var/tmp}/evalx-vm-XXXXXX")
machine=
cleanup()
{
    trap '' INT TERM
    if [ -n "$machine" ]; then
        kill "$machine" 2>/dev/null || true
    fi
    rm -rf "$job"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -p "$job/files/build/tests/sandbox"
cp "$build/evalx" "$job/files/build/"
cp "$build/tests/sandbox/test_box" "$build/tests/sandbox/test_walls" "$job/files/build/tests/sandbox/"
cp -r languages demo tests "$job/files/"
{
    echo 'export EVALX_TEST_SLOW=20 EVALX_BINARY=/job/build/evalx EVALX_LANGUAGES=/job/languages'
    # shellcheck disable=SC2016 # for the guest
    echo 'echo "kernel $(uname -r), $(stat -fc %T /sys/fs/cgroup), systemd $(systemctl is-system-running)"'
    if [ $# -gt 0 ]; then
        printf '%s\n' "$*"
    else
        echo 'status=0'
        echo 'build/tests/sandbox/test_box || status=1'
        echo 'build/tests/sandbox/test_walls || status=1'
        echo 'python3 tests/sandbox/run_attacks.py || status=1'
        # shellcheck disable=SC2016
        echo 'exit $status'
    fi
} >"$job/files/job"
tar -C "$job/files" -cf "$job/job.tar" .
truncate -s 256m "$job/job.tar"

say "booting"
: >"$job/out"
timeout "${EVALX_VM_SECONDS:-1500}" qemu-system-x86_64 -accel tcg,thread=multi,tb-size=512 -cpu Nehalem -smp 2 -m 2048 \
    -nodefaults -no-reboot -display none -kernel "$name.kernel" -initrd "$name.initrd" \
    -append 'root=/dev/vda rw console=ttyS0 quiet' \
    -drive "file=$name.img,if=virtio,format=raw,snapshot=on" \
    -drive "file=$job/job.tar,if=virtio,format=raw,readonly=on" \
    -serial "file:$job/console" -serial "file:$job/out" </dev/null &
machine=$!
tail -n +1 -f --pid="$machine" "$job/out" || true
result=0
wait "$machine" || result=$?
machine=
cp "$job/console" "$folder/console.log" 2>/dev/null || true
cp "$job/out" "$folder/out.log"
grep -q '^exit status 0' "$job/out" || {
    [ "$result" -eq 0 ] || say "the machine ended with $result (its console: $folder/console.log)"
    fail "the job in the machine failed (its output: $folder/out.log)"
}
say "the job in the machine passed"
