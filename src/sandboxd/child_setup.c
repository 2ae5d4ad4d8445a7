/*
 * child_setup: turns a copy of the root side into the exec stub, which then becomes the untrusted program.
 *
 * No step takes away what a later step needs, and the filter forbids what all steps before it did.  What depends on the
 * request is done by the exec stub (exec_stub.h), which needs no right that a program lacks.
 */
#include "sandboxd/child_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/packet.h"
#include "sandboxd/exec_stub.h"
#include "sandboxd/landlock.h"
#include "sandboxd/seccomp_filter.h"

static int set_capabilities(uint64_t permitted, uint64_t effective)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[2] = {
        { .permitted = (uint32_t)permitted, .effective = (uint32_t)effective },
        { .permitted = (uint32_t)(permitted >> 32), .effective = (uint32_t)(effective >> 32) },
    };
    return syscall(SYS_capset, &head, sets) < 0 ? errno : 0;
}

int child_switch_user(uid_t uid)
{
    /* clone3 needs them: some systems let only CAP_SYS_ADMIN make user namespaces, and the run's v2 group is root's. */
    const uint64_t kept = 1ull << CAP_SYS_ADMIN | 1ull << CAP_DAC_OVERRIDE;
    if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || prctl(PR_SET_KEEPCAPS, 1) < 0 ||
        setresuid(uid, uid, uid) < 0)
        return errno;
    return set_capabilities(kept, kept);
}

int child_drop_capabilities(void)
{
    for (int cap = 0; cap < 64; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap) == 0)
            continue;
        /* EINVAL: beyond the kernel's last one.  EPERM: init has no CAP_SETPCAP any more; no_new_privs suffices. */
        if (errno == EINVAL || errno == EPERM)
            break;
        return errno;
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return errno;
    return set_capabilities(0, 0);
}

/* ---- the steps: each returns 0 or an errno ---- */

static int join_cgroup(const struct box_plan *plan)
{
    return plan->run->group.mode == CGROUP_V1 ? cgroup_run_enter(plan->run) : 0;
}

static int write_proc(const char *path, const char *text, size_t len)
{
    auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, len) < 0 ? errno : 0;
}

/* The process was cloned into its user namespace; the maps give it the one id that exists there. */
static int map_user(const struct box_plan *plan)
{
    size_t len = strlen(plan->id_map);
    int os = write_proc("/proc/self/setgroups", "deny", 4);
    if (os == 0)
        os = write_proc("/proc/self/uid_map", plan->id_map, len);
    return os != 0 ? os : write_proc("/proc/self/gid_map", plan->id_map, len);
}

static int unshare_cgroup_namespace(const struct box_plan *plan)
{
    (void)plan;
    return unshare(CLONE_NEWCGROUP) < 0 ? errno : 0;
}

/*
 * Leaves the slot's empty network for one that ends with the run, so that no port, counter or name in it outlives the
 * run.  The user namespace owns it, so the process may bring up the loopback interface here, and not any more when its
 * capabilities are dropped.
 */
static int enter_own_network(const struct box_plan *plan)
{
    if (!plan->has_loopback)
        return 0;
    if (unshare(CLONE_NEWNET) < 0)
        return errno;
    struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    auto_close int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return any < 0 || ioctl(any, SIOCSIFFLAGS, &loopback) < 0 ? errno : 0;
}

static int new_session(const struct box_plan *plan)
{
    (void)plan;
    return setsid() < 0 ? errno : 0;
}

static int new_keyring(const struct box_plan *plan)
{
    (void)plan;
    /* ENOSYS: a kernel without keys.  The filter denies all calls for keys. */
    return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS ? errno : 0;
}

/* Never above the operator's hard limits: the process has no CAP_SYS_RESOURCE. */
static int lower_limit(int what, rlim_t value)
{
    struct rlimit limit;
    if (getrlimit(what, &limit) < 0)
        return errno;
    if (value < limit.rlim_max)
        limit.rlim_max = value;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(what, &limit) < 0 ? errno : 0;
}

/* The limits that are the same for all programs. */
static int set_fixed_limits(const struct box_plan *plan)
{
    static const struct {
        int what;
        rlim_t value;
    } limits[] = {
        { RLIMIT_CORE, 1 }, /* see seccomp_table.c */
        { RLIMIT_MEMLOCK, 64 << 10 },
        { RLIMIT_NICE, 0 },
        { RLIMIT_RTPRIO, 0 },
    };
    (void)plan;
    int os = 0;
    for (size_t i = 0; os == 0 && i < sizeof limits / sizeof *limits; i++)
        os = lower_limit(limits[i].what, limits[i].value);
    (void)umask(022);
    return os;
}

static int reset_signals(const struct box_plan *plan)
{
    (void)plan;
    const struct sigaction standard = { .sa_handler = SIG_DFL };
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &standard, NULL); /* fails for KILL, STOP and two of libc's, which are never changed */
    sigset_t none;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? errno : 0;
}

static int drop_capabilities(const struct box_plan *plan)
{
    (void)plan;
    return child_drop_capabilities();
}

static int set_no_new_privs(const struct box_plan *plan)
{
    (void)plan;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? errno : 0;
}

/* Init never reads the descriptors, and holds the socket's other end for the life of the box. */
static int restrict_files(const struct box_plan *plan)
{
    return plan->has_landlock ? landlock_restrict(plan->stub_socket[1]) : 0;
}

static int enter_box(const struct box_plan *plan)
{
    (void)plan;
    return chdir("/box") < 0 ? errno : 0;
}

/*
 * Closes all descriptors but those of the exec stub, which get the numbers it expects.  Close-on-exec is not enough:
 * execve opens the interpreter that a script or an ELF file names before it closes descriptors, so that
 * "#!/proc/self/fd/N/../../.." would lead from a folder of ours into the host's tree.  None of those kept is a folder.
 */
static int arrange_descriptors(const struct box_plan *plan)
{
    struct {
        int from, to;
    } kept[] = { { plan->stub_socket[1], EXEC_STUB_SOCKET },
                 { plan->report, EXEC_STUB_REPORT },
                 { plan->probe, EXEC_STUB_PROBE },
                 { plan->exec_stub, EXEC_STUB_SELF },
                 { plan->notify_socket, EXEC_STUB_NOTIFY } };
    const size_t len = sizeof kept / sizeof *kept;
    for (size_t i = 0; i < len; i++) /* first above all target numbers */
        if (kept[i].from >= 0 && (kept[i].from = fcntl(kept[i].from, F_DUPFD_CLOEXEC, EXEC_STUB_FDS_END)) < 0)
            return errno;
    for (size_t i = 0; i < len; i++) {
        (void)close(kept[i].to);
        if (kept[i].from >= 0 && dup3(kept[i].from, kept[i].to, i < EXEC_STUB_KEPT ? 0 : O_CLOEXEC) < 0)
            return errno;
    }
    return close_range(EXEC_STUB_FDS_END, ~0u, 0) < 0 ? errno : 0;
}

static int load_filter(const struct box_plan *plan)
{
    if (plan->notify_socket < 0)
        return seccomp_filter_load(plan->program_filter);
    /* The slot receives the listener, and with it the denied syscalls.  Execve closes this copy of it. */
    int listener = -1;
    int os = seccomp_filter_load_notify(plan->program_filter, &listener);
    if (os == 0 && packet_send(EXEC_STUB_NOTIFY, "", 1, &listener, 1) < 0)
        os = errno;
    (void)close(EXEC_STUB_NOTIFY);
    return os;
}

static int execute_exec_stub(const struct box_plan *plan)
{
    (void)plan;
    const char *const argv[] = { "evalx-exec-stub", NULL }, *const env[] = { NULL };
    (void)syscall(SYS_execveat, EXEC_STUB_SELF, "", argv, env, AT_EMPTY_PATH);
    return errno;
}

static const struct {
    const char *name;
    int (*take)(const struct box_plan *plan);
} steps[] = {
    { "join the cgroup", join_cgroup },
    { "map the user", map_user },
    { "unshare the cgroup namespace", unshare_cgroup_namespace },
    { "enter a network of its own", enter_own_network },
    { "start a session", new_session },
    { "join a new keyring", new_keyring },
    { "set the fixed limits", set_fixed_limits },
    { "reset the signals", reset_signals },
    { "drop the capabilities", drop_capabilities },
    { "set no_new_privs", set_no_new_privs },
    { "restrict the files of /proc", restrict_files },
    { "enter the box", enter_box },
    { "arrange the descriptors", arrange_descriptors },
    { "load the filter", load_filter },
    { "execute the exec stub", execute_exec_stub },
};
#define STEPS ((uint32_t)(sizeof steps / sizeof *steps))

const char *child_step_name(uint32_t step)
{
    return step < STEPS ? steps[step].name : "an unknown step";
}

bool child_step_needs_namespaces(uint32_t step)
{
    return step < STEPS && (steps[step].take == map_user || steps[step].take == unshare_cgroup_namespace);
}

_Noreturn void child_main(const struct box_plan *plan)
{
    int report = plan->report, os = 0;
    uint32_t i = 0;
    for (; i < STEPS; i++) {
        os = steps[i].take(plan);
        if (os != 0)
            break;
        if (steps[i].take == arrange_descriptors)
            report = EXEC_STUB_REPORT;
    }
    init_report_child_failure(report, i, os); /* the last step returns only if it fails */
}
