/*
 * supervisor: the first process of the root side, and main() of its executable.  That is a small static executable
 * inside the evalx binary (sandbox/sandbox.c): it holds no secret, no HTTP, JSON or store code, and forks quickly.
 *
 *   evalx-launcher CONTROL_FD UID_BASE INSECURE_NO_CGROUP IMAGES_FOLDER ISOLATE PIN
 *
 * ISOLATE is the path of the isolate command, or empty for the native backend.  PIN is 1 if the runs of a slot have one
 * processor.
 *
 * The supervisor drops the capabilities that no process of the root side needs, builds the filters, makes the cgroup
 * tree, and forks the launcher, which does all the work.  If the launcher dies, its slots die with it
 * (PR_SET_PDEATHSIG).  The supervisor kills what is left in the tree and forks another, which sends hello again.  The
 * worker then names its images again and opens its slots again.  When the worker is gone the launcher exits, and the
 * supervisor removes the tree.
 *
 * Names of the processes (/proc/PID/comm): evalx-sandboxd (the supervisor), evalx-launcher, evalx-slot-N, evalx-init,
 * evalx-exec-stub.
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/protocol.h"
#include "sandboxd/launcher.h"
#include "sandboxd/probe.h"

/*
 * Keeps the capabilities that slots and image builders use, and drops all others, also from the bounding set.  isolate
 * needs two more: it brings up the loopback of its network namespace, and changes modes of folders that root no longer
 * owns.
 */
static int drop_capabilities(bool for_isolate, struct error *err)
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
    (void)setsid(); /* Ctrl-C in a terminal is for the worker, which then drains */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return error_set(err, ERROR_SETUP, errno, "become a child subreaper (PR_SET_CHILD_SUBREAPER)");
    if (setgroups(0, NULL) < 0)
        return error_set(err, ERROR_SETUP, errno, "drop groups");
    if (drop_capabilities(isolate[0] != '\0', err) < 0)
        return -1;
    if (seccomp_filters_build(settings->pin, &settings->filters, err) < 0)
        return -1;
    if (!insecure_no_cgroup && cgroup_tree_open(&settings->tree, err) < 0)
        return -1;
    if (isolate[0] != '\0')
        return isolate_probe(isolate, settings->tree.mode != CGROUP_NONE, &settings->isolate, err);
    return 0;
}

/* Has the worker closed its end?  Then no other launcher is needed. */
static bool worker_is_gone(int control)
{
    struct pollfd polled = { .fd = control, .events = POLLRDHUP };
    return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0;
}

/* Restarts the launcher until it exits by itself.  Returns its exit status. */
static int supervise(const struct launcher_settings *settings, int control)
{
    for (;;) {
        pid_t launcher = fork();
        if (launcher == 0)
            _exit(launcher_main(settings, control));
        int status = 0;
        pid_t ended;
        do /* also reaps orphans of a dead launcher */
            ended = waitpid(-1, &status, 0);
        while (launcher > 0 && ended != launcher && (ended > 0 || errno == EINTR));
        if (launcher < 0 || WIFEXITED(status) || worker_is_gone(control))
            return launcher > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        dprintf(STDERR_FILENO, "evalx-launcher: the launcher died of signal %d; starting another\n", WTERMSIG(status));
        (void)cgroup_tree_clear(&settings->tree, CLEAN_UP_MS);
    }
}

int main(int argc, char **argv)
{
    (void)prctl(PR_SET_NAME, "evalx-sandboxd");     /* executed from a memfd, whose name is the default */
    if (argc == 2 && strcmp(argv[1], "probe") == 0) /* the self-test, in a box */
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
    (void)umask(022); /* programs enter the folders that are made for them */

    struct error err = { 0 };
    if (prepare(&settings, strcmp(argv[3], "1") == 0, argv[5], &err) < 0) {
        launcher_hello(control, &settings, &err);
        (void)cgroup_tree_close(&settings.tree, CLEAN_UP_MS);
        return 1;
    }
    /* Signals of a terminal or a service manager are for the worker, which then drains. */
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &blocked, NULL);
    int status = supervise(&settings, control);
    if (cgroup_tree_close(&settings.tree, CLEAN_UP_MS) < 0)
        dprintf(STDERR_FILENO, "evalx-launcher: cgroup %s could not be removed; the next start tries again\n",
                settings.tree.name);
    return status;
}
