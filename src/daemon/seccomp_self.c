/*
 * seccomp_self: a deny list.  An allow list would depend on the distribution, because the system calls of libraries
 * (TLS, resolver, SQLite) differ.  No library needs a system call on this list.
 */
#include "daemon/seccomp_self.h"

#include <errno.h>
#include <seccomp.h>

static const char *const denied[] = {
    "execve",
    "execveat",
    "fork",
    "vfork", /* only the launcher starts programs */
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_getfd",
    "pidfd_open",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "unshare",
    "setns",
    "swapon",
    "swapoff",
    "quotactl",
    "name_to_handle_at",
    "open_by_handle_at",
    "fanotify_init",
    "add_key",
    "keyctl",
    "request_key",
    "bpf",
    "perf_event_open",
    "lookup_dcookie",
    "userfaultfd",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "reboot",
    "acct",
    "syslog",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "vhangup",
    "modify_ldt",
    "personality",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "setuid",
    "setgid",
    "setresuid",
    "setresgid",
    "setreuid",
    "setregid",
    "setgroups",
    "capset",
    "mknod",
    "mknodat",
};

int seccomp_self_confine(struct error *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (ctx == NULL)
        return error_set(err, ERROR_SETUP, ENOMEM, "seccomp_init");
    int os = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    for (size_t i = 0; i < sizeof denied / sizeof *denied && os == 0; i++) {
        int number = seccomp_syscall_resolve_name(denied[i]);
        if (number >= 0) /* else the architecture does not have it */
            os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), number, 0);
    }
    (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (os == 0)
        os = seccomp_load(ctx);
    seccomp_release(ctx);
    return os == 0 ? 0 : error_set(err, ERROR_SETUP, -os, "load evalx's own seccomp filter");
}
