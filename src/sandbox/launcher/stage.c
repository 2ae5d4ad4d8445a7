/*
 * stage: init's steps.  (The program's own are in stage_program.c.)
 *
 * The slot process has one thread, so this copy of it may call what it likes; it still allocates nothing.
 */
#include "sandbox/launcher/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/scope.h"
#include "sandbox/launcher/seccomp_filter.h"
#include "sandbox/launcher/stage_program.h"
#include "sandbox/launcher/unpack.h"

static int die_with_slot(const struct stage_plan *p)
{
    (void)p;
    return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? errno : 0;
}

static int enter_image(const struct stage_plan *p)
{
    /* The namespace is shared by all runs of the image; the copy is this run's own. */
    if (setns(p->mount_ns, CLONE_NEWNS) < 0)
        return errno;
    return unshare(CLONE_NEWNS) < 0 ? errno : 0;
}

static int mount_proc(const struct stage_plan *p)
{
    (void)p;
    unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    /* Only processes, and only its own: no /proc/sys, no figures of the host.  Linux 5.8. */
    return mount("proc", "/proc", "proc", flags, "subset=pid,hidepid=invisible") < 0 ? errno : 0;
}

static int make_writable(const char *inside, const char *target, mode_t mode, uid_t uid)
{
    if (mkdir(inside, 0700) < 0 || chmod(inside, mode) < 0 || chown(inside, uid, uid) < 0)
        return errno;
    return mount(inside, target, NULL, MS_BIND, NULL) < 0 ? errno : 0;
}

static int mount_box(const struct stage_plan *p)
{
    /* One tmpfs for all three, so that the limit is one limit. */
    char options[96];
    (void)snprintf(options, sizeof options, "mode=0755,size=%" PRIu64 ",nr_inodes=%d", p->limits->disk_bytes,
                   BOX_INODES);
    if (mount("tmpfs", "/.run", "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
        return errno;
    int os = make_writable("/.run/box", "/box", 0755, p->uid);
    if (os == 0)
        os = make_writable("/.run/tmp", "/tmp", 01777, 0);
    if (os == 0)
        os = make_writable("/.run/shm", "/dev/shm", 01777, 0);
    if (os == 0 && umount2("/.run", MNT_DETACH) < 0)
        os = errno;
    return os;
}

static int name_host(const struct stage_plan *p)
{
    (void)p;
    return sethostname("box", 3) < 0 ? errno : 0;
}

static int unpack_files(const struct stage_plan *p)
{
    if (p->bundle < 0)
        return 0;
    auto_close int box = open("/box", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (box < 0)
        return errno;
    /* As the program's user: setfsuid also takes the file capabilities away until it is set back (capabilities(7)). */
    (void)setfsgid(p->uid);
    (void)setfsuid(p->uid);
    int os = unpack(p->bundle, box);
    (void)setfsuid(0);
    (void)setfsgid(0);
    return os;
}

struct step {
    const char *name;
    int (*take)(const struct stage_plan *plan); /* 0 or errno */
};

static const struct step steps[] = {
    { "die with the slot", die_with_slot },
    { "enter the image", enter_image },
    { "mount /proc", mount_proc },
    { "mount the box", mount_box },
    { "name the host", name_host },
    { "unpack the files", unpack_files },
};
#define STEPS ((uint32_t)(sizeof steps / sizeof *steps))
#define STEP_START_PROGRAM STEPS
#define STEP_GIVE_UP_POWERS (STEPS + 1)
#define STEP_OF_PROGRAM (STEPS + 2)

const char *stage_step_name(uint32_t step)
{
    if (step < STEPS)
        return steps[step].name;
    if (step == STEP_START_PROGRAM)
        return "start the program's process";
    if (step == STEP_GIVE_UP_POWERS)
        return "give up init's powers";
    return stage_program_step_name(step - STEP_OF_PROGRAM);
}

static void report(const struct stage_plan *p, const struct stage_report *what)
{
    (void)!write(p->report, what, sizeof *what);
}

static _Noreturn void fail(const struct stage_plan *p, uint32_t step, int os)
{
    report(p, &(struct stage_report){ .kind = STAGE_FAILED, .step = step, .os = os });
    _exit(1);
}

/* v2: born inside the run's group.  v1: the child joins by itself. */
static pid_t start_program(const struct stage_plan *p)
{
    struct clone_args args = { .exit_signal = SIGCHLD };
    if (p->run->group.version == CGROUP_V2) {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)p->run->group.dirs[0];
    }
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/* Everything but the report pipe and what is to be packed into. */
static int close_the_rest(const struct stage_plan *p)
{
    int low = p->keep < 0 || p->report < p->keep ? p->report : p->keep;
    int high = p->keep < 0 || p->report > p->keep ? p->report : p->keep;
    if (low > 0 && close_range(0, (unsigned)low - 1, 0) < 0)
        return errno;
    if (high > low + 1 && close_range((unsigned)low + 1, (unsigned)high - 1, 0) < 0)
        return errno;
    return close_range((unsigned)high + 1, ~0u, 0) < 0 ? errno : 0;
}

/* Init becomes as weak as the program, but stays outside the program's user namespace, where it cannot be reached. */
static int give_up_powers(const struct stage_plan *p)
{
    int os = close_the_rest(p);
    if (os == 0)
        os = stage_become(p->uid, false);
    if (os == 0)
        os = stage_drop_capabilities();
    if (os == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || /* setresuid cleared it */
                    prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
        os = errno;
    return os != 0 ? os : seccomp_filter_load(p->filter);
}

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t time_us(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

static int keep_files(const struct stage_plan *p)
{
    (void)kill(-1, SIGKILL); /* all of the box but init: nobody may change what is being packed */
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    auto_close int box = open("/box", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return box < 0 ? errno : pack(box, p->keep, p->limits->disk_bytes);
}

_Noreturn void stage_init(const struct stage_plan *plan)
{
    for (uint32_t i = 0; i < STEPS; i++) {
        int os = steps[i].take(plan);
        if (os != 0)
            fail(plan, i, os);
    }
    uint64_t begun = now_us();
    pid_t program = start_program(plan);
    if (program < 0)
        fail(plan, STEP_START_PROGRAM, errno);
    if (program == 0) {
        uint32_t step;
        int os = stage_program(plan, &step);
        bool at_exec = step == STAGE_PROGRAM_EXEC_STEP;
        report(plan, &(struct stage_report){ .kind = at_exec ? STAGE_NOT_EXECUTABLE : STAGE_FAILED,
                                             .step = STEP_OF_PROGRAM + step, .os = os });
        _exit(127);
    }
    report(plan, &(struct stage_report){ .kind = STAGE_STARTED, .begun_us = begun });
    int os = give_up_powers(plan);
    if (os != 0)
        fail(plan, STEP_GIVE_UP_POWERS, os);

    struct stage_report ended = { .kind = STAGE_ENDED };
    struct rusage usage = { 0 };
    pid_t who;
    do /* orphans of the program are reaped on the way */
        who = wait4(-1, &ended.wait_status, 0, &usage);
    while (who != program && (who > 0 || errno == EINTR));
    ended.wall_us = now_us() - begun;
    ended.cpu_us = time_us(usage.ru_utime) + time_us(usage.ru_stime);
    ended.memory_bytes = (uint64_t)usage.ru_maxrss * 1024;
    if (plan->keep >= 0 && WIFEXITED(ended.wait_status) && WEXITSTATUS(ended.wait_status) == 0) {
        ended.pack_os = keep_files(plan);
        ended.files_kept = ended.pack_os == 0;
    }
    report(plan, &ended);
    _exit(0);
}
