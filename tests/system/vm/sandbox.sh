#!/bin/sh
# sandbox: runs the sandbox tests in a virtual machine with systemd and cgroup v2 only.  Its release is that of this
# machine, or EVALX_VM_SUITE.
#
#   sandbox.sh [COMMAND IN THE GUEST...]      default: the sandbox suite and the attacks
#
# Inside, a unit with Delegate=yes runs the job, as evalx-worker.service would.  Its output comes back over the second
# serial line.  EVALX_VM_SLOW is the slowness factor of the tests (default 20; more on a busy host).  The machine is
# stopped after EVALX_VM_SECONDS.
set -eu
. tools/common.sh
. tests/system/root_common.sh
. tests/system/vm/vm_common.sh

vm_build
packages="python3 gcc g++ libc6-dev $(libraries "$built/evalx" "$built/tests/sandbox/test_run")"
name=$(vm_name sandbox "$vm_packages_always $packages")
if [ ! -f "$name.img" ]; then
    vm_make_root sandbox "$packages"
    vm_unit evalx-job <<'END'
exec >/dev/ttyS1 2>&1
mkdir -p /job
tar -xf /dev/vdb -C /job
cd /job
sh ./job
echo "exit status $?"
sync
systemctl poweroff --force --force
END
    vm_image "$name" 3g
fi

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
cp "$binaries/evalx" "$job/files/build/"
for program in test_run test_isolation test_prestart test_exec_cache exec_cache_program_one exec_cache_program_two \
    test_files_charged test_fairness test_accounting limits_program accounting_program; do
    cp "$binaries/tests/sandbox/$program" "$job/files/build/tests/sandbox/"
done
cp -r languages demo tests tools "$job/files/"
{
    echo "export EVALX_TEST_SLOWNESS=${EVALX_VM_SLOW:-20}"
    echo 'export EVALX_BINARY=/job/build/evalx EVALX_LANGUAGES=/job/languages'
    # shellcheck disable=SC2016 # for the guest
    echo 'echo "kernel $(uname -r), $(stat -fc %T /sys/fs/cgroup), systemd $(systemctl is-system-running)"'
    if [ $# -gt 0 ]; then
        printf '%s\n' "$*"
    else
        echo 'status=0'
        # shellcheck disable=SC2016
        echo 'for name in run isolation prestart exec_cache files_charged; do'
        # shellcheck disable=SC2016
        echo 'build/tests/sandbox/test_$name || status=1; done'
        echo 'python3 tests/sandbox/run_attacks.py || status=1'
        # shellcheck disable=SC2016
        echo 'exit $status'
    fi
} >"$job/files/job"
tar -C "$job/files" -cf "$job/job.tar" .
truncate -s 256m "$job/job.tar"

say "booting"
: >"$job/out"
# shellcheck disable=SC2046,SC2086 # lists of words
timeout "${EVALX_VM_SECONDS:-7200}" $(vm_start "$name") \
    -append "$vm_kernel_words" \
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
