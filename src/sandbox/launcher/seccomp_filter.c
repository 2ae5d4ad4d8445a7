/*
 * seccomp_filter: the second wall.  Namespaces, capabilities and the cgroup already forbid the effects; the filter takes
 * away the kernel code behind calls that no program here needs, so that a bug in it cannot be reached.
 *
 * Refused calls answer EPERM, or ENOSYS where a library then falls back to an older call (clone3 -> clone, whose flags
 * the filter can see; io_uring -> plain reads).  Foreign architectures and x32 end the process: no runtime uses them,
 * and every rule below could be passed by them.
 *
 * A strict filter tells a listener of the calls in `refused` (and of namespaces and terminal injection), so that the run
 * can be ended as a whole, by whichever of its processes the call was made.  Killing by the filter itself would end one
 * process, and its parent could hide that.  What runtimes and compilers ask for in good faith answers the same in both.
 */
#include "sandbox/launcher/seccomp_filter.h"

#include <errno.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/scope.h"

/* Answered with EPERM, or the end of the run.  Names, not numbers: libseccomp knows which exist on this architecture. */
static const char *const refused[] = {
    /* file systems and roots */
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr", "fsopen",
    "fsconfig", "fsmount", "fspick", "mount_setattr", "statmount", "listmount", "swapon", "swapoff", "quotactl",
    "quotactl_fd", "name_to_handle_at", "open_by_handle_at", "fanotify_init", "fanotify_mark",
    /* namespaces (clone has a rule of its own) */
    "unshare", "setns",
    /* other processes */
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp", "pidfd_getfd",
    "migrate_pages", "move_pages",
    /* kernel keys, programs, tracing */
    "add_key", "keyctl", "request_key", "bpf", "perf_event_open", "lookup_dcookie", "userfaultfd",
    /* the machine itself */
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "reboot", "acct",
    "syslog", "settimeofday", "stime", "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64",
    "adjtimex", "sethostname", "setdomainname", "iopl", "ioperm", "vhangup", "modify_ldt", "uselib", "_sysctl",
    "nfsservctl", "get_kernel_syms", "query_module", "memfd_secret",
};

/* Answered with EPERM in any case: asked for in good faith, by allocators that place memory. */
static const char *const denied[] = { "mbind", "set_mempolicy", "set_mempolicy_home_node" };

/* Answered with ENOSYS: libraries ask whether they exist and have another way. */
static const char *const unknown[] = { "clone3", "io_uring_setup", "io_uring_enter", "io_uring_register",
                                       "map_shadow_stack", "rseq_slice_yield" };

static int refuse(scmp_filter_ctx ctx, const char *name, uint32_t action)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR || number < 0) /* not on this architecture, or newer than the library */
        return 0;
    return seccomp_rule_add(ctx, action, number, 0);
}

static int refuse_namespaces(scmp_filter_ctx ctx, uint32_t action)
{
    static const uint64_t flags[] = { CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC,
                                      CLONE_NEWUTS, CLONE_NEWCGROUP, CLONE_NEWTIME };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        int os = seccomp_rule_add(ctx, action, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
        if (os < 0)
            return os;
    }
    return 0;
}

/* Only local and internet sockets (the network namespace is empty); all others are kernel surface. */
static int refuse_sockets(scmp_filter_ctx ctx)
{
    int os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                              SCMP_A0(SCMP_CMP_GT, AF_INET6));
    if (os < 0)
        return os;
    for (unsigned family = AF_INET + 1; family < AF_INET6 && os == 0; family++)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, family));
    return os;
}

static int refuse_arguments(scmp_filter_ctx ctx, uint32_t action)
{
    /* Limits of another process: init has the program's uid, and must keep its own. */
    int os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_NE, 0));
    /*
     * RLIMIT_CORE stays 1: where core_pattern is a pipe, the kernel starts the host's handler as root for every crash,
     * limit 0 or not; only the value 1 keeps it from doing so (core(5), fs/coredump.c).
     */
    if (os == 0)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setrlimit), 1, SCMP_A0(SCMP_CMP_EQ, RLIMIT_CORE));
    if (os == 0)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 2, SCMP_A1(SCMP_CMP_EQ, RLIMIT_CORE),
                              SCMP_A2(SCMP_CMP_NE, 0));
    /* Characters pushed into a terminal's input. */
    static const uint64_t ioctls[] = { 0x5412 /* TIOCSTI */, 0x541C /* TIOCLINUX */ };
    for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls && os == 0; i++)
        os = seccomp_rule_add(ctx, action, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, ioctls[i]));
    /* Asking (0xffffffff) stays; setting changes what an address or a number means. */
    if (os == 0)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(personality), 1, SCMP_A0(SCMP_CMP_NE, 0xffffffffu));
    return os;
}

static int add_rules(scmp_filter_ctx ctx, uint32_t action)
{
    int os = 0;
    for (size_t i = 0; i < sizeof refused / sizeof *refused && os == 0; i++)
        os = refuse(ctx, refused[i], action);
    for (size_t i = 0; i < sizeof denied / sizeof *denied && os == 0; i++)
        os = refuse(ctx, denied[i], SCMP_ACT_ERRNO(EPERM));
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown && os == 0; i++)
        os = refuse(ctx, unknown[i], SCMP_ACT_ERRNO(ENOSYS));
    if (os == 0)
        os = refuse_namespaces(ctx, action);
    if (os == 0)
        os = refuse_sockets(ctx);
    if (os == 0)
        os = refuse_arguments(ctx, action);
    return os;
}

/* Through a memfd, because seccomp_export_bpf_mem is not in the library's versions before 2.6. */
static int export_program(scmp_filter_ctx ctx, struct sock_fprog *ret, struct error *err)
{
    auto_close int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0)
        return error_set(err, ERROR_SANDBOX, errno, "memfd for the seccomp filter");
    int os = seccomp_export_bpf(ctx, fd);
    if (os < 0)
        return error_set(err, ERROR_SANDBOX, -os, "export seccomp filter");
    off_t bytes = lseek(fd, 0, SEEK_END);
    if (bytes <= 0 || (size_t)bytes % sizeof(struct sock_filter) != 0)
        return error_set(err, ERROR_SANDBOX, 0, "seccomp filter of %lld bytes", (long long)bytes);
    struct sock_filter *code = malloc((size_t)bytes);
    if (code == NULL)
        return error_set(err, ERROR_SANDBOX, ENOMEM, "seccomp filter");
    if (pread(fd, code, (size_t)bytes, 0) != bytes) {
        free(code);
        return error_set(err, ERROR_SANDBOX, errno, "read seccomp filter");
    }
    *ret = (struct sock_fprog){ .len = (unsigned short)((size_t)bytes / sizeof *code), .filter = code };
    return 0;
}

/* `action`: what becomes of calls that no innocent program makes. */
static int build(uint32_t action, struct sock_fprog *ret, struct error *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (ctx == NULL)
        return error_set(err, ERROR_SANDBOX, ENOMEM, "seccomp_init");
    int os = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (os == 0)
        os = add_rules(ctx, action);
    if (os == 0) /* a binary tree over the numbers: shorter to pass than a list (libseccomp 2.5) */
        (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int result = os < 0 ? error_set(err, ERROR_SANDBOX, -os, "build seccomp filter") : export_program(ctx, ret, err);
    seccomp_release(ctx);
    return result;
}

int seccomp_filters_build(struct seccomp_filters *ret, struct error *err)
{
    memset(ret, 0, sizeof *ret);
    /* The classes ask for the same today; each keeps its place, so that one may be narrowed without the others. */
    struct sock_fprog common, strict;
    if (build(SCMP_ACT_ERRNO(EPERM), &common, err) < 0 || build(SCMP_ACT_NOTIFY, &strict, err) < 0)
        return -1;
    for (int i = 0; i < SLOT_CLASS_COUNT_; i++) {
        ret->programs[i] = common;
        ret->strict[i] = strict;
    }
    return 0;
}

int seccomp_filter_load(const struct sock_fprog *program)
{
    /* SPEC_ALLOW: keep the processor's speculation as it is; the wall is not side channels inside one process. */
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, program) < 0 ? errno : 0;
}

int seccomp_filter_load_heard(const struct sock_fprog *program, int *ret_listener)
{
    unsigned flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_NEW_LISTENER;
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
    if (listener < 0)
        return errno;
    *ret_listener = (int)listener;
    return 0;
}

int seccomp_filter_heard(int listener)
{
    /* Room for a newer kernel's structure: it writes its own size, and wants zeroes before. */
    union {
        struct seccomp_notif call;
        char room[512];
    } heard = { .room = { 0 } };
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &heard) < 0 ? -1 : heard.call.data.nr;
}
