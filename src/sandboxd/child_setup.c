/*
 * child_setup: from a copy of the root side to the untrusted program.
 *
 * By the order of the steps nothing is lost that a later one needs, and the filter forbids all that came before it.
 * What a request decides comes behind it, in an executable of its own (threshold.h), and needs no right that a program
 * has not.
 */
#include "sandboxd/child_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/packet.h"
#include "sandboxd/exec_stub.h"
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

int child_become(uid_t uid)
{
    /* For clone3: some systems let only the first make user namespaces; the run's group (v2) is root's. */
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
        /* EINVAL: behind the kernel's last one.  EPERM (init): no CAP_SETPCAP any more; no_new_privs then does it. */
        if (errno == EINVAL || errno == EPERM)
            break;
        return errno;
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return errno;
    return set_capabilities(0, 0);
}

static int join_cgroup(const struct box_plan *p)
{
    return p->run->group.version == CGROUP_V1 ? cgroup_run_enter(p->run) : 0;
}

static int hide_cgroups(const struct box_plan *p)
{
    (void)p;
    return unshare(CLONE_NEWCGROUP) < 0 ? errno : 0;
}

static int new_session(const struct box_plan *p)
{
    (void)p;
    return setsid() < 0 ? errno : 0;
}

static int new_keyring(const struct box_plan *p)
{
    (void)p;
    /* ENOSYS: a kernel without keys.  The filter forbids programs to ask for any. */
    return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS ? errno : 0;
}

/* What is the same for all programs; the operator's own ceilings stand: no CAP_SYS_RESOURCE here. */
static int limit_to(int what, rlim_t value)
{
    struct rlimit limit;
    if (getrlimit(what, &limit) < 0)
        return errno;
    if (value < limit.rlim_max)
        limit.rlim_max = value;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(what, &limit) < 0 ? errno : 0;
}

static int set_standing_limits(const struct box_plan *p)
{
    static const struct {
        int what;
        rlim_t value;
    } limits[] = {
        { RLIMIT_CORE, 1 }, /* see seccomp_filter.c */
        { RLIMIT_MEMLOCK, 64 << 10 },
        { RLIMIT_NICE, 0 },
        { RLIMIT_RTPRIO, 0 },
    };
    (void)p;
    int os = 0;
    for (size_t i = 0; os == 0 && i < sizeof limits / sizeof *limits; i++)
        os = limit_to(limits[i].what, limits[i].value);
    (void)umask(022);
    return os;
}

static int default_signals(const struct box_plan *p)
{
    (void)p;
    const struct sigaction standard = { .sa_handler = SIG_DFL };
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &standard, NULL); /* fails for KILL, STOP and two of libc's own: never changed */
    sigset_t none;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? errno : 0;
}

static int write_proc(const char *path, const char *text, size_t len)
{
    auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, len) < 0 ? errno : 0;
}

/* It was born in a user namespace, as its only user; these say who that is. */
static int map_user(const struct box_plan *p)
{
    size_t len = strlen(p->id_map);
    int os = write_proc("/proc/self/setgroups", "deny", 4);
    if (os == 0)
        os = write_proc("/proc/self/uid_map", p->id_map, len);
    return os != 0 ? os : write_proc("/proc/self/gid_map", p->id_map, len);
}

static int drop_capabilities(const struct box_plan *p)
{
    (void)p;
    return child_drop_capabilities();
}

static int no_new_privileges(const struct box_plan *p)
{
    (void)p;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? errno : 0;
}

static int enter_box(const struct box_plan *p)
{
    (void)p;
    return chdir("/box") < 0 ? errno : 0;
}

/*
 * Closed, not only marked close-on-exec: execve looks for the interpreter that a script or an ELF file names before it
 * closes what is marked, and "#!/proc/self/fd/N/../../.." would walk from a folder of ours into the host's tree.  What
 * stays is what the threshold needs, at the numbers it knows; none of it is a folder.
 */
static int arrange_descriptors(const struct box_plan *p)
{
    struct {
        int from, to;
    } kept[] = { { p->inner[1], EXEC_STUB_SOCKET },
                 { p->report, EXEC_STUB_REPORT },
                 { p->probe, EXEC_STUB_PROBE },
                 { p->exec_stub, EXEC_STUB_SELF },
                 { p->notify, EXEC_STUB_NOTIFY } };
    const size_t len = sizeof kept / sizeof *kept;
    for (size_t i = 0; i < len; i++) /* first out of the way of all the places */
        if (kept[i].from >= 0 && (kept[i].from = fcntl(kept[i].from, F_DUPFD_CLOEXEC, EXEC_STUB_FDS_END)) < 0)
            return errno;
    for (size_t i = 0; i < len; i++) {
        (void)close(kept[i].to);
        if (kept[i].from >= 0 && dup3(kept[i].from, kept[i].to, i < EXEC_STUB_KEPT ? 0 : O_CLOEXEC) < 0)
            return errno;
    }
    return close_range(EXEC_STUB_FDS_END, ~0u, 0) < 0 ? errno : 0;
}

static int load_filter(const struct box_plan *p)
{
    if (p->notify < 0)
        return seccomp_filter_load(p->filter);
    /* The slot hears of refused calls by the listener; this copy of it goes with execve (close-on-exec). */
    int listener = -1;
    int os = seccomp_filter_load_heard(p->strict_filter, &listener);
    if (os == 0 && packet_send(EXEC_STUB_NOTIFY, "", 1, &listener, 1) < 0)
        os = errno;
    (void)close(EXEC_STUB_NOTIFY);
    return os;
}

static int enter_exec_stub(const struct box_plan *p)
{
    (void)p;
    const char *const argv[] = { "evalx-exec-stub", NULL }, *const env[] = { NULL };
    (void)syscall(SYS_execveat, EXEC_STUB_SELF, "", argv, env, AT_EMPTY_PATH);
    return errno;
}

static const struct {
    const char *name;
    int (*take)(const struct box_plan *plan);
} steps[] = {
    { "join the cgroup", join_cgroup },
    { "say who the user is", map_user },
    { "hide the cgroups", hide_cgroups },
    { "start a session", new_session },
    { "join a new keyring", new_keyring },
    { "set the standing limits", set_standing_limits },
    { "reset the signals", default_signals },
    { "drop the capabilities", drop_capabilities },
    { "renounce new privileges", no_new_privileges },
    { "enter the box", enter_box },
    { "arrange the descriptors", arrange_descriptors },
    { "load the filter", load_filter },
    { "stand at the threshold", enter_exec_stub },
};
#define STEPS ((uint32_t)(sizeof steps / sizeof *steps))

const char *child_setup_step_name(uint32_t step)
{
    return step < STEPS ? steps[step].name : "an unknown step";
}

bool child_setup_needs_namespaces(uint32_t step)
{
    return step < STEPS && (steps[step].take == map_user || steps[step].take == hide_cgroups);
}

int child_setup(const struct box_plan *plan, uint32_t *ret_step, int *ret_report)
{
    *ret_report = plan->report;
    for (uint32_t i = 0;; i++) {
        int os = steps[i].take(plan);
        if (os == 0 && steps[i].take == arrange_descriptors)
            *ret_report = EXEC_STUB_REPORT;
        if (os != 0 || i + 1 == STEPS) {
            *ret_step = i;
            return os;
        }
    }
}
