/*
 * guardian: the first process of the root side.  A separate small static executable inside the evalx binary (see
 * sandbox/sandbox.c), so that it holds no secret, no HTTP, no JSON, no store, and forks quickly.
 *
 *   evalx-launcher CONTROL_FD UID_BASE INSECURE_NO_CGROUP IMAGES_FOLDER ISOLATE PIN
 *
 * ISOLATE is the path of the isolate command, or empty for the native driver.  PIN is 1 where the runs of a slot have
 * one processor.
 *
 * It gives up the capabilities nobody below needs, builds the filters, makes the cgroup tree, and forks the launcher,
 * which does all the work.  Should the launcher die, its slots die with it (PR_SET_PDEATHSIG); the guardian ends what
 * is left in the tree and forks another, which says hello again; the worker then names its images anew and asks for
 * its slots. When the worker is gone the launcher ends by itself, and the guardian removes the tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/protocol.h"
#include "sandboxd/cgroup_file.h"
#include "sandboxd/launcher.h"
#include "sandboxd/probe.h"

/*
 * Only what slots and image builders use; the bounding set follows, so no child has more.  isolate also raises its
 * network namespace's loopback, and changes the modes of folders that are no longer root's.
 */
static int keep_few_capabilities(bool for_isolate, struct error *err)
{
    static const int kept[] = { CAP_CHOWN,      CAP_KILL,      CAP_SETGID, CAP_SETUID,      CAP_SETPCAP,
                                CAP_SYS_CHROOT, CAP_SYS_ADMIN, CAP_MKNOD,  CAP_DAC_OVERRIDE };
    uint64_t set = 0;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        set |= 1ull << kept[i];
    if (for_isolate)
        set |= 1ull << CAP_NET_ADMIN | 1ull << CAP_FOWNER;
    for (int cap = 0; cap < 64; cap++)
        if ((set >> cap & 1) == 0 && prctl(PR_CAPBSET_DROP, cap) < 0 && errno != EINVAL)
            return error_set(err, ERROR_SETUP, errno, "drop capability %d from the bounding set", cap);
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[2] = {
        { .permitted = (uint32_t)set, .effective = (uint32_t)set },
        { .permitted = (uint32_t)(set >> 32), .effective = (uint32_t)(set >> 32) },
    };
    if (syscall(SYS_capset, &head, sets) < 0)
        return error_set(err, ERROR_SETUP, errno,
                         "keep the launcher's capabilities (run as root; in a container it "
                         "needs SYS_ADMIN, SETUID, SETGID, SETPCAP, KILL, CHOWN, MKNOD, "
                         "SYS_CHROOT, DAC_OVERRIDE)");
    return 0;
}

static int prepare(struct launcher_settings *settings, bool insecure_no_cgroup, const char *isolate, struct error *err)
{
    if (geteuid() != 0)
        return error_set(err, ERROR_SETUP, 0, "the sandbox must be started as root (sudo evalx ...)");
    (void)setsid(); /* a terminal's Ctrl-C is for the worker, which then drains */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return error_set(err, ERROR_SETUP, errno, "become the reaper of orphans");
    if (setgroups(0, NULL) < 0)
        return error_set(err, ERROR_SETUP, errno, "drop groups");
    if (keep_few_capabilities(isolate[0] != '\0', err) < 0)
        return -1;
    if (seccomp_filters_build(settings->pin, &settings->filters, err) < 0)
        return -1;
    if (!insecure_no_cgroup && cgroup_tree_open(&settings->tree, err) < 0)
        return -1;
    if (isolate[0] != '\0')
        return isolate_probe(isolate, settings->tree.version != CGROUP_NONE, &settings->isolate, err);
    return 0;
}

/* Ends what a dead launcher left: processes and the groups of its slots.  The tree itself stays. */
static void clear_tree(const struct cgroup *tree)
{
    for (unsigned waited = 0; tree->version != CGROUP_NONE && waited < CLEAN_UP_MS; waited += 5) {
        unsigned stayed = 0;
        for (int i = 0; i < CGROUP_CONTROLLERS; i++)
            if (tree->dirs[i] >= 0)
                stayed += cgroup_clear_children(tree->dirs[i], CGROUP_MAIN);
        if (stayed == 0)
            return;
        (void)nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    }
}

/* Has the worker closed its end?  Then nobody needs another launcher. */
static bool worker_is_gone(int control)
{
    struct pollfd polled = { .fd = control, .events = POLLRDHUP };
    return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0;
}

/* The launcher's exit status once it ended by itself. */
static int guard(const struct launcher_settings *settings, int control)
{
    for (;;) {
        pid_t launcher = fork();
        if (launcher == 0)
            _exit(launcher_main(settings, control));
        int status = 0;
        pid_t ended;
        do /* orphans of a dead launcher come here too, and are reaped on the way */
            ended = waitpid(-1, &status, 0);
        while (launcher > 0 && ended != launcher && (ended > 0 || errno == EINTR));
        if (launcher < 0 || WIFEXITED(status) || worker_is_gone(control))
            return launcher > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        dprintf(STDERR_FILENO, "evalx-launcher: the launcher died of signal %d; starting another\n", WTERMSIG(status));
        clear_tree(&settings->tree);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "probe") == 0) /* in a box: child_setup.c */
        _exit(probe_main());
    if (argc != 7) {
        dprintf(STDERR_FILENO, "evalx-launcher is started by evalx, not by hand\n");
        return 2;
    }
    char *end;
    int control = (int)strtol(argv[1], &end, 10);
    static struct launcher_settings settings;
    settings.uid_base = strtoull(argv[2], &end, 10);
    settings.images_folder = argv[4];
    settings.pin = strcmp(argv[6], "1") == 0;
    (void)fcntl(control, F_SETFD, FD_CLOEXEC);

    struct error err = { 0 };
    if (prepare(&settings, strcmp(argv[3], "1") == 0, argv[5], &err) < 0) {
        launcher_hello(control, &settings, &err);
        (void)cgroup_tree_close(&settings.tree, CLEAN_UP_MS);
        return 1;
    }
    /* A terminal's or a service manager's signals are for the worker, which then drains. */
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &held, NULL);
    int status = guard(&settings, control);
    if (cgroup_tree_close(&settings.tree, CLEAN_UP_MS) < 0)
        dprintf(STDERR_FILENO, "evalx-launcher: cgroup %s could not be removed; the next start tries again\n",
                settings.tree.name);
    return status;
}
