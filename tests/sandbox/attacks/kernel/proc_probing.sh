# attack: Looks in /proc and /sys for what tells about the host, or steers it.
# expect: accepted stdout="refused\n"
won=
for file in kcore kallsyms kmsg keys key-users sysrq-trigger sched_debug timer_list modules cmdline mounts/../config.gz \
    sys/kernel/core_pattern sys/kernel/hostname sys/vm/overcommit_memory sys/fs/file-max loadavg uptime \
    version net/tcp partitions diskstats interrupts iomem ioports bus fs irq acpi scsi tty driver 1 1/environ; do
    if [ -e "/proc/$file" ]; then
        case "$file" in
        net/tcp) [ "$(wc -l </proc/net/tcp)" -le 1 ] || won="$won $file" ;;
        *) won="$won $file" ;;
        esac
    fi
done
[ -e /sys/kernel ] && won="$won /sys"
[ -e /sys/fs/cgroup ] && won="$won cgroup"
grep -q . /proc/self/cgroup && grep -v -E ':/$' /proc/self/cgroup >/tmp/x && won="$won $(cat /tmp/x)"
[ "$(find /proc -maxdepth 1 -name '[0-9]*' | wc -l)" -le 4 ] || won="$won processes"
if [ -n "$won" ]; then echo "ESCAPED:$won"; else echo refused; fi
