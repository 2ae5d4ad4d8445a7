/*
 * stage: init's steps.  (The program's own are in child_setup.c.)
 *
 * The slot process has one thread, so this copy of it may call what it likes; it still allocates nothing.
 */
#include "sandboxd/init_process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/packet.h"
#include "sandbox/archive.h"
#include "sandboxd/child_setup.h"
#include "sandboxd/clone_onto_stack.h"
#include "sandboxd/exec_cache.h"
#include "sandboxd/exec_stub.h"
#include "sandboxd/seccomp_filter.h"

static int die_with_slot(const struct box_plan *p)
{
    (void)p;
    return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? errno : 0;
}

static int enter_image(const struct box_plan *p)
{
    /* The namespace is shared by all runs of the image; the copy is this run's own. */
    if (setns(p->mount_ns, CLONE_NEWNS) < 0)
        return errno;
    return unshare(CLONE_NEWNS) < 0 ? errno : 0;
}

static int enter_network(const struct box_plan *p)
{
    return setns(p->network, CLONE_NEWNET) < 0 ? errno : 0;
}

static int mount_proc(const struct box_plan *p)
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

static int mount_box(const struct box_plan *p)
{
    /*
     * One tmpfs for all three, so that the limit is one limit.  It stays where it is mounted, closed to all but root:
     * for taking a mount away the kernel waits until every processor has seen it.
     */
    if (mount("tmpfs", "/.run", "tmpfs", MS_NOSUID | MS_NODEV, p->box_options) < 0)
        return errno;
    int os = make_writable("/.run/box", "/box", 0755, p->uid);
    if (os == 0)
        os = make_writable("/.run/tmp", "/tmp", 01777, 0);
    if (os == 0)
        os = make_writable("/.run/shm", "/dev/shm", 01777, 0);
    return os;
}

static int lay_out_program(const struct box_plan *p)
{
    if (p->exec_cached_at[0] == '\0')
        return 0;
    auto_close int place = open(p->exec_cached_at, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
    if (place < 0 || mount(EXEC_CACHE_FOLDER "/" EXEC_CACHE_NAME, p->exec_cached_at, NULL, MS_BIND, NULL) < 0)
        return errno;
    unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
    return mount(NULL, p->exec_cached_at, NULL, flags, NULL) < 0 ? errno : 0;
}

static int name_host(const struct box_plan *p)
{
    (void)p;
    return sethostname("box", 3) < 0 ? errno : 0;
}

static int become_user(const struct box_plan *p)
{
    int os = child_become(p->uid);
    if (os == 0)
        os = die_with_slot(p); /* setresuid cleared it; giving up capabilities does not */
    /* Files of /proc/self belong to root while this is off, and the program's process writes three of them. */
    return os != 0 ? os : prctl(PR_SET_DUMPABLE, 1) < 0 ? errno : 0;
}

struct step {
    const char *name;
    int (*take)(const struct box_plan *plan); /* 0 or errno */
};

static const struct step steps[] = {
    { "die with the slot", die_with_slot }, { "enter the network", enter_network },
    { "enter the image", enter_image },     { "mount /proc", mount_proc },
    { "mount the box", mount_box },         { "lay out the program", lay_out_program },
    { "name the host", name_host },         { "become the program's user", become_user },
};
#define STEPS ((uint32_t)(sizeof steps / sizeof *steps))
#define STEP_START_PROGRAM STEPS
#define STEP_GIVE_UP_POWERS (STEPS + 1)
#define STEP_TAKE_REQUEST (STEPS + 2)
#define STEP_UNPACK (STEPS + 3)
#define STEP_PASS_REQUEST (STEPS + 4)
#define STEP_OF_PROGRAM (STEPS + 5)

const char *init_step_name(uint32_t step)
{
    static const char *const at_exec_stub[] = {
        [EXEC_STUB_TAKE_REQUEST - EXEC_STUB_STEPS] = "take the order at the threshold",
        [EXEC_STUB_STREAMS - EXEC_STUB_STEPS] = "connect the streams",
        [EXEC_STUB_LIMITS - EXEC_STUB_STEPS] = "set the limits",
        [EXEC_STUB_EXECUTE - EXEC_STUB_STEPS] = "execute the program",
    };
    if (step >= EXEC_STUB_STEPS && step < EXEC_STUB_END_)
        return at_exec_stub[step - EXEC_STUB_STEPS];
    if (step < STEPS)
        return steps[step].name;
    if (step == STEP_START_PROGRAM)
        return "start the program's process";
    if (step == STEP_GIVE_UP_POWERS)
        return "give up init's powers";
    if (step == STEP_TAKE_REQUEST)
        return "take the order";
    if (step == STEP_UNPACK)
        return "unpack the files";
    if (step == STEP_PASS_REQUEST)
        return "pass the order on";
    return child_setup_step_name(step - STEP_OF_PROGRAM);
}

const char *init_step_remedy(uint32_t step, int os)
{
    bool needs_them =
        step == STEP_START_PROGRAM || (step >= STEP_OF_PROGRAM && child_setup_needs_namespaces(step - STEP_OF_PROGRAM));
    if (!needs_them || (os != EACCES && os != EPERM))
        return "";
    return " (AppArmor, or a container's rules, forbid evalx user namespaces: sudo apparmor_parser --replace "
           "/etc/apparmor.d/evalx, the profile that deploy/build_ami.sh installs; `journalctl -k` names the rule)";
}

static void report(const struct box_plan *p, const struct init_report *what)
{
    (void)!write(p->report, what, sizeof *what);
}

static _Noreturn void fail(const struct box_plan *p, uint32_t step, int os)
{
    report(p, &(struct init_report){ .kind = INIT_FAILED, .step = step, .os = os });
    _exit(1);
}

/* The program's process, from its birth to the threshold. */
static _Noreturn void program_process(const struct box_plan *plan)
{
    uint32_t step;
    int report_fd;
    int os = child_setup(plan, &step, &report_fd);
    const struct init_report failed = { .kind = INIT_FAILED, .step = STEP_OF_PROGRAM + step, .os = os };
    (void)!write(report_fd, &failed, sizeof failed);
    _exit(127);
}

/*
 * As vfork(2): it runs in init's memory, on a stack of its own, and init waits until it is at the threshold, in memory
 * of its own.  A copy would cost a fifth of all that a box costs: page tables, and each page that either side touches.
 * The user namespace comes with the birth, since a process that shares its memory cannot ask for one later.
 * v2: born inside the run's group.  v1: it joins by itself.
 */
static pid_t start_program(const struct box_plan *p)
{
    struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
    if (p->run->group.version == CGROUP_V2) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)p->run->group.dirs[0];
    }
#ifdef SHARES_MEMORY
    static _Alignas(16) char stack[65536];
    args.flags |= CLONE_VM | CLONE_VFORK;
    args.stack = (uint64_t)(uintptr_t)stack;
    args.stack_size = sizeof stack;
    return clone_onto_stack(&args, program_process, p);
#else
    pid_t program = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (program == 0)
        program_process(p);
    return program;
#endif
}

/* Everything but the report pipe and the two lines. */
static int close_the_rest(const struct box_plan *p)
{
    const int kept[] = { p->report, p->line, p->inner[0] };
    for (unsigned from = 0;;) {
        unsigned next = ~0u;
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
            if ((unsigned)kept[i] >= from && (unsigned)kept[i] < next)
                next = (unsigned)kept[i];
        if (next > from && close_range(from, next - (next != ~0u), 0) < 0)
            return errno;
        if (next == ~0u)
            return 0;
        from = next + 1;
    }
}

/* Init becomes as weak as the program, but stays outside the program's user namespace, where it cannot be reached. */
static int give_up_powers(const struct box_plan *p)
{
    int os = close_the_rest(p);
    if (os == 0)
        os = child_drop_capabilities();
    if (os == 0 && (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
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

/* ---- the order ---- */

/* The process's own. */
static struct exec_request exec_request;

/* Waits for it; the slot that will not send one ends the box by a signal, or by its own end. */
static void take_request(const struct box_plan *p, int fds[SLOT_FDS_MAX])
{
    size_t fds_len = 0;
    ssize_t got = packet_receive_some(p->line, &exec_request, EXEC_REQUEST_HEAD_BYTES, sizeof exec_request, fds,
                                      SLOT_FDS_MAX, &fds_len, 0);
    if (got == 0)
        _exit(0);
    if (got < 0)
        fail(p, STEP_TAKE_REQUEST, errno);
    size_t expected = ((exec_request.flags & EXEC_FEED) != 0 ? 0 : SLOT_FD_BASE_COUNT_) +
                      ((exec_request.flags & SLOT_HAS_ARCHIVE) != 0) + ((exec_request.flags & SLOT_KEEP_FILES) != 0);
    if (fds_len != expected || (size_t)got != EXEC_REQUEST_HEAD_BYTES + exec_request.strings_len)
        fail(p, STEP_TAKE_REQUEST, EBADMSG);
}

/*
 * All of the box but init: what a program leaves behind ends with it.  Whoever has lost its parent is init's child, so
 * without a child nothing is left, and nothing can come; asking that first is cheaper than kill(2), which looks at
 * every process of the machine.
 */
static void end_the_rest(void)
{
    pid_t ended;
    do
        ended = waitpid(-1, NULL, WNOHANG);
    while (ended > 0 || (ended < 0 && errno == EINTR));
    if (ended < 0)
        return;
    (void)kill(-1, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
}

static void await_program(pid_t program, uint64_t begun_us, struct init_report *ended)
{
    struct rusage usage = { 0 };
    pid_t who;
    do /* orphans of the program are reaped on the way */
        who = wait4(-1, &ended->wait_status, 0, &usage);
    while (who != program && (who > 0 || errno == EINTR));
    ended->wall_us = now_us() - begun_us;
    ended->cpu_us = time_us(usage.ru_utime) + time_us(usage.ru_stime);
    ended->memory_bytes = (uint64_t)usage.ru_maxrss * 1024;
}

static void unpack_files(const struct box_plan *plan, int archive, int box)
{
    /* As the program's user, who owns the box, and in which nobody of a client's has run yet. */
    const char *there = plan->exec_cached_at[0] != '\0' ? plan->exec_cached_at + sizeof "/box/" - 1 : NULL;
    int os = archive_unpack_except(archive, box, there);
    if (os != 0)
        fail(plan, STEP_UNPACK, os);
    (void)close(archive);
}

static void pass_request_on(const struct box_plan *plan, const int streams[SLOT_FD_BASE_COUNT_])
{
    size_t len = EXEC_REQUEST_HEAD_BYTES + exec_request.strings_len;
    if (packet_send(plan->inner[0], &exec_request, len, streams, SLOT_FD_BASE_COUNT_) < 0)
        fail(plan, STEP_PASS_REQUEST, errno);
    /* The worker reads the streams until nobody has them.  (The line is left open: closing it takes as long as all of
     * this, and the program may be waiting for this very processor.) */
    for (int i = 0; i < SLOT_FD_BASE_COUNT_; i++)
        (void)close(streams[i]);
}

/*
 * warm.h: the interpreter is, or soon will be, waiting in open(2) for somebody to write into the FIFO that stands where
 * its source will be.  The files are put in place, the FIFO first taken away; then it is given what the file holds.
 * One that ended before it came there is awaited as any program is.  Returns when the program's time began.
 */
static uint64_t let_start(const struct box_plan *plan, pid_t program, int box)
{
    int fds[SLOT_FDS_MAX];
    siginfo_t ended = { 0 };
    int fifo;
    char name[SLOT_SOURCE_BYTES];
    memcpy(name, exec_request.source, sizeof name);
    take_request(plan, fds);
    uint64_t begun = now_us();
    if ((exec_request.flags & EXEC_FEED) == 0)
        fail(plan, STEP_TAKE_REQUEST, EBADMSG);
    while ((fifo = openat(box, name, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)) < 0) {
        if (errno != ENXIO)
            fail(plan, STEP_UNPACK, errno);
        if (waitid(P_PID, (id_t)program, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == program)
            break;
        (void)nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
    }
    if (unlinkat(box, name, 0) < 0)
        fail(plan, STEP_UNPACK, errno);
    unpack_files(plan, fds[0], box);
    auto_close int source = openat(box, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (source < 0)
        fail(plan, STEP_UNPACK, errno);
    /* Blocking again: the reader takes all there is. */
    char bytes[4096];
    ssize_t got;
    if (fifo >= 0 && fcntl(fifo, F_SETFL, 0) == 0)
        while ((got = read(source, bytes, sizeof bytes)) > 0)
            if (write(fifo, bytes, (size_t)got) != got)
                break; /* it has ended, and tells so itself */
    if (fifo >= 0)
        (void)close(fifo);
    return begun;
}

/* From the order to the end of the program. */
static void carry_out(const struct box_plan *plan, pid_t program)
{
    int fds[SLOT_FDS_MAX];
    auto_close int box = open("/box", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (box < 0)
        fail(plan, STEP_TAKE_REQUEST, errno);
    take_request(plan, fds);
    if (exec_request.flags & EXEC_FEED)
        fail(plan, STEP_TAKE_REQUEST, EBADMSG);
    bool has_archive = (exec_request.flags & SLOT_HAS_ARCHIVE) != 0,
         keeps = (exec_request.flags & SLOT_KEEP_FILES) != 0;
    int keep = keeps ? fds[SLOT_FD_BASE_COUNT_ + has_archive] : -1;
    if (has_archive)
        unpack_files(plan, fds[SLOT_FD_BASE_COUNT_], box);
    uint64_t begun = now_us();
    if (exec_request.flags & EXEC_REPORTS_START)
        report(plan, &(struct init_report){ .kind = INIT_STARTED, .begun_us = begun });
    bool warm = (exec_request.flags & EXEC_PRESTART) != 0;
    if (warm && mkfifoat(box, exec_request.source, 0600) < 0)
        fail(plan, STEP_UNPACK, errno);
    pass_request_on(plan, fds);
    if (warm)
        begun = let_start(plan, program, box);

    struct init_report ended = { .kind = INIT_ENDED };
    await_program(program, begun, &ended);
    end_the_rest();
    if (keep >= 0 && WIFEXITED(ended.wait_status) && WEXITSTATUS(ended.wait_status) == 0) {
        ended.pack_os = archive_pack(box, keep, exec_request.limits.disk_bytes);
        ended.files_kept = ended.pack_os == 0;
    }
    report(plan, &ended);
    /* What is left of the box, its mounts above all, takes time to take down: not while the answer is on its way. */
    char none;
    (void)!read(plan->line, &none, 1);
}

_Noreturn void init_process_main(const struct box_plan *plan)
{
    for (uint32_t i = 0; i < STEPS; i++) {
        int os = steps[i].take(plan);
        if (os != 0)
            fail(plan, i, os);
    }
    pid_t program = start_program(plan);
    if (program < 0)
        fail(plan, STEP_START_PROGRAM, errno);
    int os = give_up_powers(plan);
    if (os != 0)
        fail(plan, STEP_GIVE_UP_POWERS, os);
    carry_out(plan, program);
    _exit(0);
}
