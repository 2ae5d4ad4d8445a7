/*
 * init_process: init's steps.  child_setup.c has the steps of the program's process.
 *
 * The slot has one thread, so this copy of it may call any function.  It still allocates nothing.
 */
#include "sandboxd/init_process.h"

#include <assert.h>
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
#include "sandboxd/child_setup.h"
#include "sandboxd/exec_cache.h"
#include "sandboxd/exec_stub.h"
#include "sandboxd/proc_files.h"
#include "sandboxd/seccomp_filter.h"

struct init {
    const struct box_plan *plan;
    pid_t program; /* 0 until it has been started */
};

/* ---- the steps: each returns 0 or an errno ---- */

static int die_with_slot(struct init *init)
{
    (void)init;
    return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? errno : 0;
}

static int join_cgroup(struct init *init)
{
    return cgroup_init_enter(init->plan->run);
}

static int enter_network(struct init *init)
{
    return setns(init->plan->network_ns, CLONE_NEWNET) < 0 ? errno : 0;
}

static int enter_image(struct init *init)
{
    /* All runs of the image in this slot share its namespace.  The copy is private to this run. */
    if (setns(init->plan->mount_ns, CLONE_NEWNS) < 0)
        return errno;
    return unshare(CLONE_NEWNS) < 0 ? errno : 0;
}

static int mount_proc(struct init *init)
{
    (void)init;
    return proc_files_mount();
}

static int bind_writable(const char *inside, const char *target, mode_t mode, uid_t uid)
{
    if (mkdir(inside, 0700) < 0 || chmod(inside, mode) < 0 || chown(inside, uid, uid) < 0)
        return errno;
    return mount(inside, target, NULL, MS_BIND, NULL) < 0 ? errno : 0;
}

static int mount_box(struct init *init)
{
    /*
     * One tmpfs serves all three folders, so that there is one limit.  It stays mounted at /.run, which only root may
     * enter: for an unmount the kernel waits until every processor has seen it.
     */
    if (mount("tmpfs", "/.run", "tmpfs", MS_NOSUID | MS_NODEV, init->plan->tmpfs_options) < 0)
        return errno;
    int os = bind_writable("/.run/box", "/box", 0755, init->plan->uid);
    if (os == 0)
        os = bind_writable("/.run/tmp", "/tmp", 01777, 0);
    if (os == 0)
        os = bind_writable("/.run/shm", "/dev/shm", 01777, 0);
    return os;
}

static int mount_cached_executable(struct init *init)
{
    const char *path = init->plan->cached_path;
    if (path[0] == '\0')
        return 0;
    auto_close int target = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
    if (target < 0 || mount(EXEC_CACHE_FOLDER "/" EXEC_CACHE_NAME, path, NULL, MS_BIND, NULL) < 0)
        return errno;
    unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
    return mount(NULL, path, NULL, flags, NULL) < 0 ? errno : 0;
}

static int set_host_name(struct init *init)
{
    (void)init;
    return sethostname("box", 3) < 0 ? errno : 0;
}

static int switch_user(struct init *init)
{
    int os = child_switch_user(init->plan->uid);
    if (os == 0)
        os = die_with_slot(init); /* setresuid cleared it; dropping capabilities does not */
    /* While this is 0, files of /proc/self belong to root, and the program's process has to write three of them. */
    return os != 0 ? os : prctl(PR_SET_DUMPABLE, 1) < 0 ? errno : 0;
}

/* The child starts in a user namespace of its own; v2: and in the run's cgroup.  v1: it joins the cgroup itself. */
static int start_program(struct init *init)
{
    const struct cgroup *group = &init->plan->run->group;
    struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
    if (group->mode == CGROUP_V2) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)group->dirs[0];
    }
    init->program = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (init->program == 0)
        child_main(init->plan);
    return init->program < 0 ? errno : 0;
}

/* Closes everything but the report pipe and the two sockets. */
static int close_other_descriptors(const struct box_plan *plan)
{
    const int kept[] = { plan->report, plan->request_socket, plan->stub_socket[0] };
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

/* Init gets the program's rights, but stays outside the program's user namespace, where the program cannot reach it. */
static int drop_privileges(struct init *init)
{
    int os = close_other_descriptors(init->plan);
    if (os == 0)
        os = child_drop_capabilities();
    if (os == 0 && (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
        os = errno;
    return os != 0 ? os : seccomp_filter_load(init->plan->init_filter);
}

static const struct {
    const char *name;
    int (*take)(struct init *init);
} steps[] = {
    { "die with the slot", die_with_slot },
    { "join the cgroup of inits", join_cgroup },
    { "enter the network", enter_network },
    { "enter the image", enter_image },
    { "mount /proc", mount_proc },
    { "mount the box", mount_box },
    { "mount the cached executable", mount_cached_executable },
    { "set the host name", set_host_name },
    { "switch to the program's user", switch_user },
    { "start the program's process", start_program },
    { "drop init's privileges", drop_privileges },
};
#define STEPS ((uint32_t)(sizeof steps / sizeof *steps))

/* Steps after the table, once there is a request.  Those of the program's process follow. */
enum { STEP_RECEIVE_REQUEST = STEPS, STEP_UNPACK, STEP_FORWARD_REQUEST, STEP_CHILD };

static const char *const request_steps[] = { "receive the request", "unpack the files", "forward the request" };

const char *init_step_name(uint32_t step)
{
    if (step < STEPS)
        return steps[step].name;
    if (step < STEP_CHILD)
        return request_steps[step - STEPS];
    if (step >= EXEC_STUB_STEPS)
        return exec_stub_step_name(step);
    return child_step_name(step - STEP_CHILD);
}

bool init_step_is_in_group(uint32_t step)
{
    return step >= STEP_CHILD;
}

const char *init_step_remedy(uint32_t step, int os)
{
    bool needs_namespaces = (step < STEPS && steps[step].take == start_program) ||
                            (step >= STEP_CHILD && child_step_needs_namespaces(step - STEP_CHILD));
    if (!needs_namespaces || (os != EACCES && os != EPERM))
        return "";
    return " (AppArmor or the container's rules forbid evalx user namespaces: sudo apparmor_parser --replace "
           "/etc/apparmor.d/evalx, the profile that deploy/build_ami.sh installs; `journalctl -k` names the rule)";
}

/* ---- a request ---- */

static void report(const struct box_plan *plan, const struct init_report *what)
{
    (void)!write(plan->report, what, sizeof *what);
}

static _Noreturn void fail(const struct box_plan *plan, uint32_t step, int os)
{
    report(plan, &(struct init_report){ .kind = INIT_FAILED, .step = step, .os = os });
    _exit(1);
}

_Noreturn void init_report_child_failure(int report_fd, uint32_t step, int os)
{
    const struct init_report failed = { .kind = INIT_FAILED, .step = STEP_CHILD + step, .os = os };
    (void)!write(report_fd, &failed, sizeof failed);
    _exit(127);
}

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t timeval_us(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

/* Large, and there is one request at a time. */
static struct exec_request request;

/* Blocks until a request arrives.  A slot that will not send one kills the box, or closes the socket by its own end. */
static void receive_request(const struct box_plan *plan, int fds[SLOT_FDS_MAX])
{
    size_t fds_len = 0;
    ssize_t got = packet_receive_some(plan->request_socket, &request, EXEC_REQUEST_HEAD_BYTES, sizeof request, fds,
                                      SLOT_FDS_MAX, &fds_len, 0);
    if (got == 0)
        _exit(0);
    if (got < 0)
        fail(plan, STEP_RECEIVE_REQUEST, errno);
    size_t expected = ((request.flags & EXEC_FEED) != 0 ? 0 : SLOT_FD_BASE_COUNT_) +
                      ((request.flags & SLOT_HAS_ARCHIVE) != 0) + ((request.flags & SLOT_KEEP_FILES) != 0);
    if (fds_len != expected || (size_t)got != EXEC_REQUEST_HEAD_BYTES + request.strings_len)
        fail(plan, STEP_RECEIVE_REQUEST, EBADMSG);
}

static_assert(ARCHIVE_FILES_MAX + ARCHIVE_FOLDERS_MAX <= BOX_INODES / 2,
              "every archive fits, and files of the program");

/* Runs as the program's user, who owns the box.  No program of a client has run in it yet. */
static void unpack(const struct box_plan *plan, int archive, int box)
{
    const char *cached = plan->cached_path[0] != '\0' ? plan->cached_path + sizeof "/box/" - 1 : NULL;
    int os = archive_unpack_except(archive, box, cached);
    if (os != 0)
        fail(plan, STEP_UNPACK, os);
    (void)close(archive);
}

/*
 * A started interpreter opens a FIFO in place of its source file, and blocks there until somebody opens the FIFO for
 * writing.  This function waits for the second request, replaces the FIFO by the real files, and then writes the source
 * into the FIFO.  If the interpreter exits before it opens the FIFO, its end is handled like any program's.  Returns
 * the time at which the program's clock starts.
 */
static uint64_t feed_prestarted(const struct box_plan *plan, pid_t program, int box)
{
    int fds[SLOT_FDS_MAX];
    siginfo_t ended = { 0 };
    int fifo;
    char name[SLOT_SOURCE_BYTES];
    memcpy(name, request.source, sizeof name);
    receive_request(plan, fds);
    uint64_t begun_us = now_us();
    if ((request.flags & EXEC_FEED) == 0)
        fail(plan, STEP_RECEIVE_REQUEST, EBADMSG);
    while ((fifo = openat(box, name, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)) < 0) {
        if (errno != ENXIO) /* ENXIO: nobody reads from it yet */
            fail(plan, STEP_UNPACK, errno);
        if (waitid(P_PID, (id_t)program, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == program)
            break;
        (void)nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
    }
    if (unlinkat(box, name, 0) < 0)
        fail(plan, STEP_UNPACK, errno);
    unpack(plan, fds[0], box);
    auto_close int source = openat(box, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (source < 0)
        fail(plan, STEP_UNPACK, errno);
    if (fifo < 0)
        return begun_us;
    char bytes[4096];
    ssize_t got;
    if (fcntl(fifo, F_SETFL, 0) == 0) /* blocking again: the interpreter reads all of it */
        while ((got = read(source, bytes, sizeof bytes)) > 0)
            if (write(fifo, bytes, (size_t)got) != got)
                break; /* the interpreter has exited, which await_program reports */
    (void)close(fifo);
    return begun_us;
}

static void await_program(pid_t program, uint64_t begun_us, struct init_report *ended)
{
    struct rusage usage = { 0 };
    pid_t who;
    do /* also reaps orphans of the program */
        who = wait4(-1, &ended->wait_status, 0, &usage);
    while (who != program && (who > 0 || errno == EINTR));
    ended->wall_us = now_us() - begun_us;
    ended->cpu_us = timeval_us(usage.ru_utime) + timeval_us(usage.ru_stime);
    ended->memory_bytes = (uint64_t)usage.ru_maxrss * 1024;
}

/*
 * Kills and reaps everything in the box but init.  A process that loses its parent becomes init's child, so if init has
 * no child, nothing is left and nothing can appear.  This is checked first, because it is cheaper than kill(2), which
 * visits every process of the machine.
 */
static void kill_remaining(void)
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

static void serve_request(const struct box_plan *plan, pid_t program)
{
    int fds[SLOT_FDS_MAX];
    auto_close int box = open("/box", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (box < 0)
        fail(plan, STEP_RECEIVE_REQUEST, errno);
    receive_request(plan, fds);
    if (request.flags & EXEC_FEED)
        fail(plan, STEP_RECEIVE_REQUEST, EBADMSG);
    bool has_archive = (request.flags & SLOT_HAS_ARCHIVE) != 0;
    int keep = (request.flags & SLOT_KEEP_FILES) != 0 ? fds[SLOT_FD_BASE_COUNT_ + has_archive] : -1;
    bool prestarts = (request.flags & EXEC_PRESTART) != 0;

    if (has_archive)
        unpack(plan, fds[SLOT_FD_BASE_COUNT_], box);
    uint64_t begun_us = now_us();
    if (request.flags & EXEC_REPORTS_START)
        report(plan, &(struct init_report){ .kind = INIT_STARTED, .begun_us = begun_us });
    if (prestarts && mkfifoat(box, request.source, 0600) < 0)
        fail(plan, STEP_UNPACK, errno);

    size_t len = EXEC_REQUEST_HEAD_BYTES + request.strings_len;
    if (packet_send(plan->stub_socket[0], &request, len, fds, SLOT_FD_BASE_COUNT_) < 0)
        fail(plan, STEP_FORWARD_REQUEST, errno);
    /*
     * The worker reads the streams until their last copy is closed.  The socket stays open: closing it takes as long as
     * all of this, and the program may be waiting for this very processor.
     */
    for (int i = 0; i < SLOT_FD_BASE_COUNT_; i++)
        (void)close(fds[i]);
    if (prestarts)
        begun_us = feed_prestarted(plan, program, box);

    struct init_report ended = { .kind = INIT_ENDED };
    await_program(program, begun_us, &ended);
    kill_remaining();
    if (keep >= 0 && WIFEXITED(ended.wait_status) && WEXITSTATUS(ended.wait_status) == 0) {
        ended.pack_os = archive_pack(box, keep, request.keep_bytes_max);
        ended.files_kept = ended.pack_os == 0;
    }
    report(plan, &ended);
    /* Taking down the box, above all its mounts, takes time.  Wait until the slot has answered the worker. */
    char none;
    (void)!read(plan->request_socket, &none, 1);
}

_Noreturn void init_process_main(const struct box_plan *plan)
{
    struct init init = { .plan = plan };
    (void)prctl(PR_SET_NAME, "evalx-init");
    for (uint32_t i = 0; i < STEPS; i++) {
        int os = steps[i].take(&init);
        if (os != 0)
            fail(plan, i, os);
    }
    serve_request(plan, init.program);
    _exit(0);
}
