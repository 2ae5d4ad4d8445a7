/*
 * seccomp_filter: takes away the kernel code behind calls that no program here needs, so that a bug in it cannot be
 * reached.  Namespaces, capabilities and the cgroup already prevent the effects of these calls.
 *
 * A denied call returns EPERM, or ENOSYS if a library then falls back to an older call (clone3 to clone, whose flags
 * the filter can see; io_uring to plain reads).  A call of a foreign architecture or of x32 kills the process: no
 * runtime uses them, and they would bypass every rule below.
 *
 * The notify filter reports the calls in `denied`, new namespaces and terminal injection to a listener, so that the
 * whole run can be ended, whichever of its processes made the call.  A filter that kills by itself would end only one
 * process, and its parent could hide that.  Calls that runtimes and compilers make in good faith are answered alike in
 * both.
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

/* Pid of init in the box. */
#define INIT_PID 1u

/* EPERM, or the end of the run.  By name: libseccomp knows which of them this architecture has. */
static const char *const denied[] = {
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

/* EPERM in any case: allocators that place memory make these calls in good faith. */
static const char *const eperm_only[] = {
    "mbind",
    "set_mempolicy",
    "set_mempolicy_home_node",
    /* A filter that a program adds is compiled into memory that no cgroup is charged for. */
    "seccomp",
};

/*
 * Return 0 without an effect.  sync makes the whole host's disk work, and waits for it uninterruptibly.  fadvise drops
 * shared pages from the host's cache, which slows neighbours down and could be used to signal to them.
 */
static const char *const ignored[] = { "sync", "syncfs", "fadvise64" };

/* ENOSYS: libraries try these calls first and have a fallback. */
static const char *const enosys[] = {
    "clone3",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    /* The host has one limit for all (fs.aio-max-nr), which one program could use up. */
    "io_setup",
};

/* Calls that the slot needs to make a box.  Denied in the box's processes, not in the slot. */
static const char *const needed_by_slot[] = { "mount",      "umount2",       "pivot_root", "open_tree",
                                              "move_mount", "mount_setattr", "unshare",    "setns",
                                              "keyctl",     "sethostname",   "seccomp",    "clone3" };

/* Which rules a filter has: see struct seccomp_filters. */
enum part { FULL, SLOT, BOX };

static bool has_call(enum part part, const char *name)
{
    bool is_needed = false;
    for (size_t i = 0; i < sizeof needed_by_slot / sizeof *needed_by_slot && !is_needed; i++)
        is_needed = strcmp(name, needed_by_slot[i]) == 0;
    return part == FULL || (part == BOX) == is_needed;
}

static int add_call(scmp_filter_ctx ctx, enum part part, const char *name, uint32_t action)
{
    if (!has_call(part, name))
        return 0;
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR || number < 0) /* not on this architecture, or newer than the library */
        return 0;
    return seccomp_rule_add(ctx, action, number, 0);
}

static int deny_namespaces(scmp_filter_ctx ctx, uint32_t action)
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
 * Compares the lower half of an argument: the kernel reads an int, and the program may put anything into the upper
 * half. (SCMP_CMP32 truncates the expected value to 32 bits, but still compares 64.)
 */
#define INT_IS(argument, value) SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, 0xffffffffu, value)
#define HAS_BIT(argument, bit) SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, bit, bit)

/*
 * Allows only local and internet sockets (the network namespace is empty), and only TCP and UDP.  All others are more
 * kernel code to attack, and asking for one makes the kernel load its module.  socketpair runs the same code as socket.
 */
static int deny_sockets(scmp_filter_ctx ctx)
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
        for (unsigned number = 2; number < IPPROTO_UDP && os == 0; number++) /* 1 is also PF_LOCAL */
            if (number != IPPROTO_TCP)
                os = seccomp_rule_add(ctx, protocol, calls[i], 1, SCMP_A2(SCMP_CMP_EQ, number));
    }
    /* Socket filters, for the same reason as the call seccomp. */
    static const unsigned filters[] = { SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF,
                                        SO_ATTACH_REUSEPORT_EBPF };
    for (size_t i = 0; i < sizeof filters / sizeof *filters && os == 0; i++)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setsockopt), 2, INT_IS(1, SOL_SOCKET),
                              INT_IS(2, filters[i]));
    return os;
}

/* Memory that the cgroup does not charge, and ways to learn about pages of others. */
static int deny_memory(scmp_filter_ctx ctx)
{
    const uint32_t eperm = SCMP_ACT_ERRNO(EPERM);
    /* Huge pages come from a pool of the host and are charged to no cgroup. */
    int os = seccomp_rule_add(ctx, eperm, SCMP_SYS(mmap), 1, HAS_BIT(3, MAP_HUGETLB));
    if (os == 0)
        os = seccomp_rule_add(ctx, eperm, SCMP_SYS(memfd_create), 1, HAS_BIT(1, MFD_HUGETLB));
    if (os == 0)
        os = seccomp_rule_add(ctx, eperm, SCMP_SYS(shmget), 1, HAS_BIT(2, SHM_HUGETLB));
    /* Merging equal pages reveals the content of a neighbour that merges its pages too. */
    if (os == 0)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(madvise), 1, INT_IS(2, MADV_MERGEABLE));
    /* RWF_NOWAIT reveals which pages of shared files are cached, and so what neighbours read. */
    if (os == 0)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(preadv2), 1, HAS_BIT(5, RWF_NOWAIT));
    return os;
}

/*
 * PR_SET_SECCOMP is denied like the call seccomp, and merging like madvise.  PR_SCHED_CORE would keep neighbours off
 * the sibling hyperthread.
 */
static int deny_process_controls(scmp_filter_ctx ctx)
{
    static const unsigned controls[] = { PR_SET_SECCOMP, PR_SCHED_CORE, 67 /* PR_SET_MEMORY_MERGE, Linux 6.4 */ };
    int os = 0;
    for (size_t i = 0; i < sizeof controls / sizeof *controls && os == 0; i++)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 1, INT_IS(0, controls[i]));
    return os;
}

/*
 * A program may lower its own priority, but not that of init, which has the same user and must reap it in time.  So it
 * may not lower the priority of a whole user or group, which includes init.  SCHED_IDLE is denied, because a process
 * that never gets the processor does not even die.  sched_setattr takes its policy from memory, where no filter can see
 * it, so it is denied as a whole.  If pinned, a program cannot change its processors.
 */
static int deny_scheduling(scmp_filter_ctx ctx, bool pin)
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
 * RLIMIT_CORE stays 1.  If core_pattern is a pipe, the kernel starts the host's handler as root at every crash, even if
 * the limit is 0.  Only the value 1 prevents that (core(5), fs/coredump.c).
 */
static int deny_core_limits(scmp_filter_ctx ctx)
{
    int os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setrlimit), 1, INT_IS(0, RLIMIT_CORE));
    if (os == 0)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 2, INT_IS(1, RLIMIT_CORE),
                              SCMP_A2(SCMP_CMP_NE, 0));
    return os;
}

/*
 * F_SET_RW_HINT and F_SET_FILE_RW_HINT store the expected lifetime of data in the inode.  Older kernels (6.1) let
 * anyone set it who can open the file, such as a device or a file of the image, where the slot's next run would find
 * it.  The answer is that of a kernel without the feature.
 */
static int deny_hints(scmp_filter_ctx ctx)
{
    int os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(fcntl), 1, INT_IS(1, F_SET_RW_HINT));
    return os != 0 ? os
                   : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(fcntl), 1, INT_IS(1, F_SET_FILE_RW_HINT));
}

static int deny_arguments(scmp_filter_ctx ctx, uint32_t action)
{
    /* Limits of another process: init has the program's uid, and must keep its limits. */
    int os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_NE, 0));
    /* Inserting characters into a terminal's input. */
    static const uint64_t ioctls[] = { 0x5412 /* TIOCSTI */, 0x541C /* TIOCLINUX */ };
    for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls && os == 0; i++)
        os = seccomp_rule_add(ctx, action, SCMP_SYS(ioctl), 1, INT_IS(1, ioctls[i]));
    /* FS_IOC_FIEMAP, a file's position on the host's disk.  The answer is that of a file system without it. */
    if (os == 0)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(ioctl), 1, INT_IS(1, 0xC020660Bu));
    /* 0xffffffff reads the personality, which is allowed.  Setting one changes the meaning of addresses and calls. */
    if (os == 0)
        os = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(personality), 1, SCMP_A0(SCMP_CMP_NE, 0xffffffffu));
    return os;
}

static int add_names(scmp_filter_ctx ctx, enum part part, uint32_t action)
{
    int os = 0;
    for (size_t i = 0; i < sizeof denied / sizeof *denied && os == 0; i++)
        os = add_call(ctx, part, denied[i], action);
    for (size_t i = 0; i < sizeof eperm_only / sizeof *eperm_only && os == 0; i++)
        os = add_call(ctx, part, eperm_only[i], SCMP_ACT_ERRNO(EPERM));
    for (size_t i = 0; i < sizeof enosys / sizeof *enosys && os == 0; i++)
        os = add_call(ctx, part, enosys[i], SCMP_ACT_ERRNO(ENOSYS));
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored && os == 0; i++)
        os = add_call(ctx, part, ignored[i], SCMP_ACT_ERRNO(0));
    return os;
}

static int add_rules(scmp_filter_ctx ctx, enum part part, uint32_t action, bool pin)
{
    int os = add_names(ctx, part, action);
    if (os == 0 && part != SLOT) /* the slot's processes set it */
        os = deny_core_limits(ctx);
    if (os != 0 || part == BOX)
        return os;
    os = deny_namespaces(ctx, action);
    if (os == 0)
        os = deny_sockets(ctx);
    if (os == 0)
        os = deny_memory(ctx);
    if (os == 0)
        os = deny_process_controls(ctx);
    if (os == 0)
        os = deny_scheduling(ctx, pin);
    if (os == 0)
        os = deny_hints(ctx);
    if (os == 0)
        os = deny_arguments(ctx, action);
    return os;
}

/*
 * Comes before libseccomp's program: calls newer than this file return ENOSYS, as on an older kernel, which every
 * library can cope with.  They are denied by number, because libseccomp has no name for calls newer than itself (2.5.4
 * has no statmount).  From 424 on the numbers are the same on all architectures.  Foreign architectures and x32
 * continue in libseccomp's program, which kills.
 */
#define CALLS_KNOWN 451u /* set_mempolicy_home_node, Linux 5.17, is the last */
#define X32_CALLS 0x40000000u
#define PRELUDE_LEN 6

static void deny_newer_calls(struct sock_filter ret[PRELUDE_LEN])
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

/* Uses a memfd, because libseccomp before 2.6 has no seccomp_export_bpf_mem. */
static int export_program(scmp_filter_ctx ctx, struct sock_fprog *ret, struct error *err)
{
    auto_close int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0)
        return error_set(err, ERROR_SANDBOX, errno, "create a memfd for the seccomp filter");
    int os = seccomp_export_bpf(ctx, fd);
    if (os < 0)
        return error_set(err, ERROR_SANDBOX, -os, "export seccomp filter");
    off_t bytes = lseek(fd, 0, SEEK_END);
    if (bytes <= 0 || (size_t)bytes % sizeof(struct sock_filter) != 0)
        return error_set(err, ERROR_SANDBOX, 0, "seccomp filter of %lld bytes", (long long)bytes);
    struct sock_filter *code = malloc(PRELUDE_LEN * sizeof *code + (size_t)bytes);
    if (code == NULL)
        return error_set(err, ERROR_SANDBOX, ENOMEM, "seccomp filter");
    deny_newer_calls(code);
    if (pread(fd, code + PRELUDE_LEN, (size_t)bytes, 0) != bytes) {
        free(code);
        return error_set(err, ERROR_SANDBOX, errno, "read seccomp filter");
    }
    *ret = (struct sock_fprog){ .len = (unsigned short)(PRELUDE_LEN + (size_t)bytes / sizeof *code), .filter = code };
    return 0;
}

/* `action`: for the calls in `denied` and their like. */
static int build(enum part part, uint32_t action, bool pin, struct sock_fprog *ret, struct error *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (ctx == NULL)
        return error_set(err, ERROR_SANDBOX, ENOMEM, "seccomp_init");
    int os = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (os == 0)
        os = add_rules(ctx, part, action, pin);
    if (os == 0) /* a binary tree over the numbers, which is faster than a list (libseccomp 2.5) */
        (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int result = os < 0 ? error_set(err, ERROR_SANDBOX, -os, "build seccomp filter") : export_program(ctx, ret, err);
    seccomp_release(ctx);
    return result;
}

int seccomp_filters_build(bool pin, struct seccomp_filters *ret, struct error *err)
{
    memset(ret, 0, sizeof *ret);
    /* All classes have the same filter today.  Each has an element, so that one can be narrowed without the others. */
    const uint32_t eperm = SCMP_ACT_ERRNO(EPERM);
    struct sock_fprog box, full, notify;
    if (build(SLOT, eperm, pin, &ret->slot, err) < 0 || build(BOX, eperm, pin, &box, err) < 0 ||
        build(FULL, eperm, pin, &full, err) < 0 || build(FULL, SCMP_ACT_NOTIFY, pin, &notify, err) < 0)
        return -1;
    for (int i = 0; i < RUN_CLASS_COUNT_; i++) {
        ret->box[i] = box;
        ret->full[i] = full;
        ret->notify[i] = notify;
    }
    return 0;
}

int seccomp_filter_load(const struct sock_fprog *program)
{
    /* SPEC_ALLOW: leaves speculation on.  The filter is no defence against side channels inside one process. */
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, program) < 0 ? errno : 0;
}

int seccomp_filter_load_notify(const struct sock_fprog *program, int *ret_listener)
{
    unsigned flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_NEW_LISTENER;
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
    if (listener < 0)
        return errno;
    *ret_listener = (int)listener;
    return 0;
}

int seccomp_listener_receive(int listener)
{
    /* Room for the larger structure of a newer kernel, which must be zeroed. */
    union {
        struct seccomp_notif call;
        char room[512];
    } received = { .room = { 0 } };
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &received) < 0 ? -1 : received.call.data.nr;
}
