/*
 * seccomp_filter: the second wall.  Namespaces, capabilities and the cgroup already forbid the effects; the filter
 * takes away the kernel code behind calls that no program here needs, so that a bug in it cannot be reached.
 *
 * Refused calls answer EPERM, or ENOSYS where a library then falls back to an older call (clone3 -> clone, whose flags
 * the filter can see; io_uring -> plain reads).  Foreign architectures and x32 end the process: no runtime uses them,
 * and every rule below could be passed by them.
 *
 * A strict filter tells a listener of the calls in `refused` (and of namespaces and terminal injection), so that the
 * run can be ended as a whole, by whichever of its processes the call was made.  Killing by the filter itself would
 * end one process, and its parent could hide that.  What runtimes and compilers ask for in good faith answers the
 * same in both.
 */
#include "sandboxd/seccomp_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/ioprio.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* In the box. */
#define INIT_PID 1u

/* Answered with EPERM, or the end of the run.  Names: libseccomp knows which of them this architecture has. */
static const char *const refused[] = {
    /* file systems and roots */
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "statmount",
    "listmount",
    "swapon",
    "swapoff",
    "quotactl",
    "quotactl_fd",
    "name_to_handle_at",
    "open_by_handle_at",
    "fanotify_init",
    "fanotify_mark",
    /* namespaces (clone has a rule of its own) */
    "unshare",
    "setns",
    /* other processes */
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "process_mrelease",
    "kcmp",
    "pidfd_getfd",
    "migrate_pages",
    "move_pages",
    /* kernel keys, programs, tracing */
    "add_key",
    "keyctl",
    "request_key",
    "bpf",
    "perf_event_open",
    "lookup_dcookie",
    "userfaultfd",
    /* the machine itself */
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "reboot",
    "acct",
    "syslog",
    "settimeofday",
    "stime",
    "clock_settime",
    "clock_settime64",
    "clock_adjtime",
    "clock_adjtime64",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "vhangup",
    "modify_ldt",
    "uselib",
    "_sysctl",
    "nfsservctl",
    "get_kernel_syms",
    "query_module",
    "memfd_secret",
};

/* Answered with EPERM in any case: asked for in good faith, by allocators that place memory. */
static const char *const denied[] = {
    "mbind",
    "set_mempolicy",
    "set_mempolicy_home_node",
    /* A filter of the program's own is compiled into memory that no group is charged for. */
    "seccomp",
};

/*
 * Answered with 0 and not done: sync waits, uninterruptible, for the whole host's disk, and makes it work; fadvise
 * throws the host's shared pages out of its cache, which neighbours feel and can be told by.
 */
static const char *const not_done[] = { "sync", "syncfs", "fadvise64" };

/* Answered with ENOSYS: libraries ask whether they exist and have another way. */
static const char *const unknown[] = {
    "clone3",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    /* One count for the whole host (fs.aio-max-nr): one program could use it up. */
    "io_setup",
};

/* What the root side itself calls on the way to a box: refused in the box's own processes, not in the slot. */
static const char *const of_root_side[] = { "mount",      "umount2",       "pivot_root", "open_tree",
                                            "move_mount", "mount_setattr", "unshare",    "setns",
                                            "keyctl",     "sethostname",   "seccomp",    "clone3" };

/* A filter's share of the rules. */
enum part { WHOLE, STANDING, REST };

static bool is_in(enum part part, const char *name)
{
    bool of_root = false;
    for (size_t i = 0; i < sizeof of_root_side / sizeof *of_root_side && !of_root; i++)
        of_root = strcmp(name, of_root_side[i]) == 0;
    return part == WHOLE || (part == REST) == of_root;
}

static int refuse(scmp_filter_ctx ctx, enum part part, const char *name, uint32_t action)
{
    if (!is_in(part, name))
        return 0;
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR || number < 0) /* not on this architecture, or newer than the library */
        return 0;
    return seccomp_rule_add(ctx, action, number, 0);
}

static int refuse_namespaces(scmp_filter_ctx ctx, uint32_t action)
{
    static const uint64_t flags[] = { CLONE_NEWNS,  CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET,
                                      CLONE_NEWIPC, CLONE_NEWUTS,  CLONE_NEWCGROUP, CLONE_NEWTIME };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        int os = seccomp_rule_add(ctx, action, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
        if (os < 0)
            return os;
    }
    return 0;
}

/*
 * A rule on the lower half of an argument: the kernel reads an int, and the upper half is the program's to choose.
 * (SCMP_CMP32 makes the number one of 32 bits, and compares 64.)
 */
#define INT_IS(argument, value) SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, 0xffffffffu, value)
#define HAS_BIT(argument, bit) SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, bit, bit)

/*
 * Only local and internet sockets (the network namespace is empty), of TCP and UDP: all others are kernel surface, and
 * asking for one makes the kernel load its module.  A pair is made by the same code as a single one.
 */
static int refuse_sockets(scmp_filter_ctx ctx)
{
    const int calls[] = { SCMP_SYS(socket), SCMP_SYS(socketpair) };
    const uint32_t family = SCMP_ACT_ERRNO(EAFNOSUPPORT), protocol = SCMP_ACT_ERRNO(EPROTONOSUPPORT);
    int os = 0;
    for (size_t i = 0; i < sizeof calls / sizeof *calls && os == 0; i++) {
        os = seccomp_rule_add(ctx, family, calls[i], 1, SCMP_A0(SCMP_CMP_GT, AF_INET6));
        for (unsigned number = AF_INET + 1; number < AF_INET6 && os == 0; number++)
            os = seccomp_rule_add(ctx, family, calls[i], 1, SCMP_A0(SCMP_CMP_EQ, number));
        if (os == 0)
            os = seccomp_rule_add(ctx, protocol, calls[i], 1, SCMP_A2(SCMP_CMP_GT, IPPROTO_UDP));
        for (unsigned number = 2; number < IPPROTO_UDP && os == 0; number++) /* 1 is also the name of local sockets */
            if (number != IPPROTO_TCP)
                os = seccomp_rule_add(ctx, protocol, calls[i], 1, SCMP_A2(SCMP_CMP_EQ, number));
    }
    /* Filters of the program's own, as for the call seccomp. */
    static const unsigned filters[] = { SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF,
                                        SO_ATTACH_REUSEPORT_EBPF };
    for (size_t i = 0; i < sizeof filters / sizeof *filters && os == 0; i++)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setsockopt), 2, INT_IS(1, SOL_SOCKET),
                              INT_IS(2, filters[i]));
    return os;
}

/* Memory that the group's limit does not count, and pages of others. */
static int refuse_memory(scmp_filter_ctx ctx)
{
    const uint32_t eperm = SCMP_ACT_ERRNO(EPERM);
    /* The host's pool of huge pages is charged to nobody. */
    int os = seccomp_rule_add(ctx, eperm, SCMP_SYS(mmap), 1, HAS_BIT(3, MAP_HUGETLB));
    if (os == 0)
        os = seccomp_rule_add(ctx, eperm, SCMP_SYS(memfd_create), 1, HAS_BIT(1, MFD_HUGETLB));
    if (os == 0)
        os = seccomp_rule_add(ctx, eperm, SCMP_SYS(shmget), 1, HAS_BIT(2, SHM_HUGETLB));
    /* Merging equal pages tells what a neighbour holds that merges too. */
    if (os == 0)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(madvise), 1, INT_IS(2, MADV_MERGEABLE));
    /* Tells which pages of shared files are in the cache: what neighbours read. */
    if (os == 0)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(preadv2), 1, HAS_BIT(5, RWF_NOWAIT));
    return os;
}

/*
 * PR_SET_SECCOMP as for the call, merging as for madvise; and a core of its own (PR_SCHED_CORE) would leave the sibling
 * idle for neighbours.
 */
static int refuse_process_controls(scmp_filter_ctx ctx)
{
    static const unsigned controls[] = { PR_SET_SECCOMP, PR_SCHED_CORE, 67 /* PR_SET_MEMORY_MERGE, Linux 6.4 */ };
    int os = 0;
    for (size_t i = 0; i < sizeof controls / sizeof *controls && os == 0; i++)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 1, INT_IS(0, controls[i]));
    return os;
}

/*
 * A program may make itself less than others, but not init, which has its user and has to bury it in time; nor a whole
 * user's or group's processes, init among them; nor ask for SCHED_IDLE, since a process that never gets the processor
 * does not even die.  (sched_setattr's policy lies in memory, where no filter can see it.)
 * Pinned, it stays where it is.
 */
static int refuse_scheduling(scmp_filter_ctx ctx, bool pin)
{
    const uint32_t eperm = SCMP_ACT_ERRNO(EPERM);
    const int of_a_process[] = { SCMP_SYS(sched_setscheduler), SCMP_SYS(sched_setparam), SCMP_SYS(sched_setaffinity) };
    int os = seccomp_rule_add(ctx, eperm, SCMP_SYS(sched_setattr), 0);
    if (pin && os == 0)
        os = seccomp_rule_add(ctx, eperm, SCMP_SYS(sched_setaffinity), 0);
    for (size_t i = 0; i < sizeof of_a_process / sizeof *of_a_process && os == 0; i++)
        os = seccomp_rule_add(ctx, eperm, of_a_process[i], 1, INT_IS(0, INIT_PID));
    for (unsigned more = 0; more < 2 && os == 0; more++) /* or'ed to the policy */
        os = seccomp_rule_add(ctx, eperm, SCMP_SYS(sched_setscheduler), 1,
                              INT_IS(1, SCHED_IDLE | (more == 0 ? 0u : SCHED_RESET_ON_FORK)));
    const struct {
        int call;
        unsigned process;
    } of_some[] = { { SCMP_SYS(setpriority), PRIO_PROCESS }, { SCMP_SYS(ioprio_set), IOPRIO_WHO_PROCESS } };
    for (size_t i = 0; i < sizeof of_some / sizeof *of_some && os == 0; i++) {
        os = seccomp_rule_add(ctx, eperm, of_some[i].call, 1, INT_IS(1, INIT_PID));
        for (unsigned which = 0; which <= IOPRIO_WHO_USER && os == 0; which++)
            if (which != of_some[i].process)
                os = seccomp_rule_add(ctx, eperm, of_some[i].call, 1, INT_IS(0, which));
    }
    return os;
}

/*
 * RLIMIT_CORE stays 1: where core_pattern is a pipe, the kernel starts the host's handler as root for every crash,
 * limit 0 or not; only the value 1 keeps it from doing so (core(5), fs/coredump.c).
 */
static int refuse_core_limits(scmp_filter_ctx ctx)
{
    int os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setrlimit), 1, INT_IS(0, RLIMIT_CORE));
    if (os == 0)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 2, INT_IS(1, RLIMIT_CORE),
                              SCMP_A2(SCMP_CMP_NE, 0));
    return os;
}

/*
 * How long what is written will live (F_SET_RW_HINT, F_SET_FILE_RW_HINT) is kept in the inode, and older kernels (6.1)
 * let anybody set it who can open a file: of a device, of the image, where the slot's next run would find it.  Answered
 * as by a kernel without it.
 */
static int refuse_hints(scmp_filter_ctx ctx)
{
    int os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(fcntl), 1, INT_IS(1, F_SET_RW_HINT));
    return os != 0 ? os
                   : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(fcntl), 1, INT_IS(1, F_SET_FILE_RW_HINT));
}

static int refuse_arguments(scmp_filter_ctx ctx, uint32_t action)
{
    /* Limits of another process: init has the program's uid, and must keep its own. */
    int os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_NE, 0));
    /* Characters pushed into a terminal's input. */
    static const uint64_t ioctls[] = { 0x5412 /* TIOCSTI */, 0x541C /* TIOCLINUX */ };
    for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls && os == 0; i++)
        os = seccomp_rule_add(ctx, action, SCMP_SYS(ioctl), 1, INT_IS(1, ioctls[i]));
    /* Where on the host's disk a file of the image lies (FS_IOC_FIEMAP): as a file system that cannot tell. */
    if (os == 0)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(ioctl), 1, INT_IS(1, 0xC020660Bu));
    /* Asking (0xffffffff) stays; setting changes what an address or a number means. */
    if (os == 0)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(personality), 1, SCMP_A0(SCMP_CMP_NE, 0xffffffffu));
    return os;
}

static int add_names(scmp_filter_ctx ctx, enum part part, uint32_t action)
{
    int os = 0;
    for (size_t i = 0; i < sizeof refused / sizeof *refused && os == 0; i++)
        os = refuse(ctx, part, refused[i], action);
    for (size_t i = 0; i < sizeof denied / sizeof *denied && os == 0; i++)
        os = refuse(ctx, part, denied[i], SCMP_ACT_ERRNO(EPERM));
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown && os == 0; i++)
        os = refuse(ctx, part, unknown[i], SCMP_ACT_ERRNO(ENOSYS));
    for (size_t i = 0; i < sizeof not_done / sizeof *not_done && os == 0; i++)
        os = refuse(ctx, part, not_done[i], SCMP_ACT_ERRNO(0));
    return os;
}

static int add_rules(scmp_filter_ctx ctx, enum part part, uint32_t action, bool pin)
{
    int os = add_names(ctx, part, action);
    if (os == 0 && part != STANDING) /* the root side sets it */
        os = refuse_core_limits(ctx);
    if (os != 0 || part == REST)
        return os;
    os = refuse_namespaces(ctx, action);
    if (os == 0)
        os = refuse_sockets(ctx);
    if (os == 0)
        os = refuse_memory(ctx);
    if (os == 0)
        os = refuse_process_controls(ctx);
    if (os == 0)
        os = refuse_scheduling(ctx, pin);
    if (os == 0)
        os = refuse_hints(ctx);
    if (os == 0)
        os = refuse_arguments(ctx, action);
    return os;
}

/*
 * Before the library's program: calls newer than this file answer ENOSYS, as on the older kernel every library still
 * knows to live with.  By number, because a library older than a call has no name for it (2.5.4 knows no statmount);
 * from 424 on the numbers are the same on all architectures.  Foreign ones and x32 go on to the program, which kills.
 */
#define CALLS_KNOWN 451u /* set_mempolicy_home_node, Linux 5.17, is the last */
#define X32_CALLS 0x40000000u
#define PRELUDE_LEN 6

static void refuse_newer(struct sock_filter ret[PRELUDE_LEN])
{
    const struct sock_filter code[PRELUDE_LEN] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, CALLS_KNOWN, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_CALLS, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    };
    memcpy(ret, code, sizeof code);
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
    struct sock_filter *code = malloc(PRELUDE_LEN * sizeof *code + (size_t)bytes);
    if (code == NULL)
        return error_set(err, ERROR_SANDBOX, ENOMEM, "seccomp filter");
    refuse_newer(code);
    if (pread(fd, code + PRELUDE_LEN, (size_t)bytes, 0) != bytes) {
        free(code);
        return error_set(err, ERROR_SANDBOX, errno, "read seccomp filter");
    }
    *ret = (struct sock_fprog){ .len = (unsigned short)(PRELUDE_LEN + (size_t)bytes / sizeof *code), .filter = code };
    return 0;
}

/* `action`: what becomes of calls that no innocent program makes. */
static int build(enum part part, uint32_t action, bool pin, struct sock_fprog *ret, struct error *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (ctx == NULL)
        return error_set(err, ERROR_SANDBOX, ENOMEM, "seccomp_init");
    int os = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (os == 0)
        os = add_rules(ctx, part, action, pin);
    if (os == 0) /* a binary tree over the numbers: shorter to pass than a list (libseccomp 2.5) */
        (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int result = os < 0 ? error_set(err, ERROR_SANDBOX, -os, "build seccomp filter") : export_program(ctx, ret, err);
    seccomp_release(ctx);
    return result;
}

int seccomp_filters_build(bool pin, struct seccomp_filters *ret, struct error *err)
{
    memset(ret, 0, sizeof *ret);
    /* The classes ask for the same today; each keeps its place, so that one may be narrowed without the others. */
    const uint32_t eperm = SCMP_ACT_ERRNO(EPERM);
    struct sock_fprog rest, whole, strict;
    if (build(STANDING, eperm, pin, &ret->standing, err) < 0 || build(REST, eperm, pin, &rest, err) < 0 ||
        build(WHOLE, eperm, pin, &whole, err) < 0 || build(WHOLE, SCMP_ACT_NOTIFY, pin, &strict, err) < 0)
        return -1;
    for (int i = 0; i < RUN_CLASS_COUNT_; i++) {
        ret->rest[i] = rest;
        ret->whole[i] = whole;
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
