/*
 * slot: receives requests, watches runs, answers.
 *
 * A SLOT_RUN brings the program's limits, words and descriptors.  The backend starts the run's init.  One ppoll then
 * watches
 *   - the socket: the worker asks to kill the run, or is gone;
 *   - init's pidfd: the run has ended;
 *   - the report pipe;
 *   - the clock: the wall limit, and the earliest time at which the CPU limit can be reached;
 *   - on cgroup v1, the out-of-memory event;
 *   - the listener for denied syscalls that end a run.
 * To end a run the slot calls the backend's kill.  When the pidfd fires, no process of the run is left.
 *
 * The cgroup of the next run is made after the answer has been sent.
 * Limits are clamped to the ceilings of protocol.h and to the machine's memory: no number of the worker is trusted.
 */
#include "sandboxd/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/packet.h"
#include "sandbox/archive.h"
#include "sandboxd/backend.h"
#include "sandboxd/exec_cache.h"
#include "sandboxd/request_check.h"

/* The CPU clock is read at most once in this time, and at latest this long after the limit could have been reached. */
#define CPU_CHECK_US_MIN 1000u
#define BUSY_GROUPS_MAX 16
#define EXITING_INITS_MAX 8

/* A slot is a process. */
static struct slot slot;
static const struct backend *backend;
static unsigned processors;
static uint64_t memory_max; /* bytes that a run may have */
static struct cgroup_shared shared_group;
static uint64_t groups_made;
/* Groups that the kernel could not remove yet. */
static struct cgroup_run busy_groups[BUSY_GROUPS_MAX];
static size_t busy_groups_len;
/* Inits of answered runs that have not exited yet: the kernel takes its time to take down their mounts. */
static pid_t exiting_inits[EXITING_INITS_MAX];
static size_t exiting_inits_len;

/* ---- for backends ---- */

uint64_t slot_clock_us(clockid_t clock)
{
    struct timespec now;
    return clock_gettime(clock, &now) < 0 ? 0 : (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t slot_now_us(void)
{
    return slot_clock_us(CLOCK_MONOTONIC);
}

int slot_fail(struct slot_reply *reply, int os, const char *text)
{
    reply->os = os;
    (void)snprintf(reply->text, sizeof reply->text, "%s", text);
    return -1;
}

int slot_fail_error(struct slot_reply *reply, const struct error *err)
{
    return slot_fail(reply, err->os != 0 ? err->os : EIO, err->text);
}

void slot_fail_pack(struct slot_reply *reply, int os)
{
    (void)snprintf(reply->text, sizeof reply->text, "keep the files of the box: %s", strerror(os));
    if (os != EFBIG && os != ENAMETOOLONG)
        reply->os = os;
}

bool slot_read_report(struct active_run *run)
{
    struct init_report report;
    if (read(run->report, &report, sizeof report) != (ssize_t)sizeof report)
        return false;
    if (report.kind == INIT_STARTED) {
        run->started = true;
        run->begun_us = report.begun_us;
    } else if (report.kind == INIT_NOT_EXECUTABLE) {
        run->exec_os = report.os;
    } else if (report.kind == INIT_FAILED && run->failure.kind == 0) {
        run->failure = report;
    } else if (report.kind == INIT_ENDED) {
        run->end = report;
    }
    return true;
}

bool slot_killed_run(const struct run_stats *stats)
{
    return stats->wall_exceeded || stats->cpu_exceeded || stats->cancelled || stats->output_exceeded ||
           stats->denied_syscall != 0;
}

uint64_t slot_cpu_us(const struct slot *of, struct active_run *run)
{
    return backend->cpu_us(run, cgroup_run_cpu_us(&of->group));
}

int slot_fail_memory(struct active_run *run)
{
    run->stats.oom_kills = 1;
    run->stats.signal = SIGKILL;
    return -1;
}

int slot_reap(struct active_run *run)
{
    int status = 0;
    if (run->reaped || run->init <= 0)
        return 0;
    while (waitpid(run->init, &status, 0) < 0 && errno == EINTR)
        ;
    run->reaped = true;
    return status;
}

int slot_archive_fd(const struct slot *of, const int fds[])
{
    return (of->request.flags & SLOT_HAS_ARCHIVE) ? fds[SLOT_FD_BASE_COUNT_] : -1;
}

int slot_keep_fd(const struct slot *of, const int fds[])
{
    bool has_archive = (of->request.flags & SLOT_HAS_ARCHIVE) != 0;
    return (of->request.flags & SLOT_KEEP_FILES) ? fds[SLOT_FD_BASE_COUNT_ + has_archive] : -1;
}

/* ---- cgroups ---- */

static int open_group(struct error *err)
{
    return cgroup_run_open(&slot.settings->group, &shared_group, groups_made++, &slot.group, err);
}

/* If there are too many, the launcher removes them together with the slot's group. */
static void close_group(struct cgroup_run *group)
{
    if (cgroup_run_close(group) < 0 && busy_groups_len < BUSY_GROUPS_MAX)
        busy_groups[busy_groups_len++] = *group;
}

static void close_busy_groups(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < busy_groups_len; i++)
        if (cgroup_run_close(&busy_groups[i]) < 0)
            busy_groups[kept++] = busy_groups[i];
    busy_groups_len = kept;
}

int slot_renew_group(struct slot *of, struct error *err)
{
    struct cgroup_run used = of->group;
    if (open_group(err) < 0) {
        of->group = used;
        return -1;
    }
    close_group(&used);
    return 0;
}

/* ---- the request ---- */

/* As packet_receive, for the two sizes of a request.  Also checks that the strings are within it. */
static int receive_request(struct slot_request *request, int fds[], size_t *ret_fds_len, int flags)
{
    ssize_t got = packet_receive_some(slot.socket, request, SLOT_REQUEST_SHORT_BYTES, sizeof *request, fds,
                                      SLOT_FDS_MAX, ret_fds_len, flags);
    if (got <= 0 || (size_t)got == sizeof *request)
        return got > 0 ? 1 : (int)got;
    if ((size_t)got == SLOT_REQUEST_SHORT_BYTES && request->strings_len <= SLOT_STRINGS_SHORT_BYTES)
        return 1;
    for (size_t i = 0; i < *ret_fds_len; i++)
        (void)close(fds[i]);
    errno = EBADMSG;
    return -1;
}

static struct image *find_image(const char name[CONTROL_IMAGE_BYTES])
{
    const struct slot_settings *settings = slot.settings;
    for (size_t i = 0; i < settings->images_len; i++)
        if (strncmp(settings->images[i].name, name, CONTROL_IMAGE_BYTES) == 0)
            return &settings->images[i];
    return NULL;
}

static int check_request(const int fds[], size_t fds_len, struct slot_reply *reply)
{
    const char *why = NULL;
    int os = request_check_run(&slot.request, memory_max, fds, fds_len, slot.words, &why);
    if (os != 0)
        return slot_fail(reply, os, why);
    slot.image = find_image(slot.request.image);
    if (slot.image == NULL)
        return slot_fail(reply, ENOENT, "the slot does not know this image; it was named after the slot was opened");
    return 0;
}

/*
 * Init unpacks the files outside the run's group, which is therefore not charged for them.  Moving init into it would
 * cost a grace period on v2.  So the limit that the group gets is lowered by what the files take, and the figure raised
 * by it.  A file that the exec cache holds counts like any other, so that figures do not depend on the cache.
 */
static int charge_files(const int fds[], struct active_run *run, struct slot_reply *reply)
{
    static struct stat measured;
    static uint64_t measured_bytes;
    struct stat st;
    struct limits *limits = &slot.request.limits;
    int archive = slot_archive_fd(&slot, fds);
    slot.files_bytes = 0;
    if (archive < 0 || slot.group.group.mode == CGROUP_NONE)
        return 0;
    if (fstat(archive, &st) < 0)
        return slot_fail(reply, errno, "examine the archive");
    if (!exec_cache_is_same(&st, &measured)) {
        int os = archive_measure(archive, &measured_bytes);
        measured = os == 0 ? st : (struct stat){ 0 };
        if (os != 0)
            return slot_fail(reply, os, "read the archive");
    }
    slot.files_bytes = measured_bytes < limits->memory_bytes ? measured_bytes : limits->memory_bytes;
    limits->memory_bytes -= slot.files_bytes;
    return limits->memory_bytes > 0 ? 0 : slot_fail_memory(run);
}

/* ---- the run ---- */

static void kill_run(struct active_run *run)
{
    if (slot.group.group.mode != CGROUP_NONE)
        (void)slot_cpu_us(&slot, run); /* the last reading of init's clock */
    backend->kill(run);
    run->kills++;
}

/* Reads a message of the worker during a run.  -1: the worker is gone. */
static int serve_worker(struct active_run *run)
{
    static struct slot_request message;
    int fds[SLOT_FDS_MAX];
    size_t fds_len = 0;
    int got = receive_request(&message, fds, &fds_len, MSG_DONTWAIT);
    if (got == 0)
        return -1;
    for (size_t i = 0; got > 0 && i < fds_len; i++)
        (void)close(fds[i]);
    if (got > 0 && message.op == SLOT_KILL && message.run == slot.request.run) {
        if (message.reason == SLOT_KILL_OUTPUT)
            run->stats.output_exceeded = true;
        else
            run->stats.cancelled = true;
        kill_run(run);
    }
    return 0;
}

/* Given the run's CPU time in its stats. */
static void sample_waiting(struct active_run *run)
{
    uint64_t now = slot_now_us();
    wait_time_sample(&run->wait, &slot.group, run->init, run->begun_us, now, run->stats.cpu_us, processors);
    run->stats.waited_us = run->wait.waited_us;
    run->next_sample_us = now + WAIT_SAMPLE_US;
}

/* isolate's runs have a network of their own too, but the slot has no place to look at it from. */
static void sample_network(struct active_run *run)
{
    pid_t task = 0;
    if ((slot.request.flags & SLOT_LOOPBACK) == 0 || slot.settings->isolate != NULL)
        return;
    (void)cgroup_run_tasks(&slot.group, &task, 1);
    network_memory_sample(&run->network, task);
    run->lacks_memory = run->network.peak_bytes > slot.request.limits.memory_bytes;
}

static bool has_used_wall(const struct run_stats *stats, const struct limits *limits)
{
    return stats->wall_us >= limits->wall_us + stats->waited_us;
}

/* Kills the run if a limit of time is exceeded.  Returns how long to wait before the next check. */
static uint64_t check_clocks(struct active_run *run, uint64_t *next_cpu_check_us)
{
    const struct limits *limits = &slot.request.limits;
    struct run_stats *stats = &run->stats;
    bool has_cpu_clock = slot.group.group.mode != CGROUP_NONE;
    uint64_t now = slot_now_us(), wall_us = now - run->begun_us;
    if (!run->started) {
        if (wall_us < INIT_GRACE_US)
            return INIT_GRACE_US - wall_us;
        kill_run(run); /* a box that is not ready by then is an error, not the program's fault */
        return 0;
    }
    bool reads_cpu = has_cpu_clock && now >= *next_cpu_check_us;
    stats->wall_us = wall_us;
    bool samples = has_cpu_clock && (now >= run->next_sample_us || has_used_wall(stats, limits));
    if (reads_cpu || samples)
        stats->cpu_us = slot_cpu_us(&slot, run);
    if (samples) {
        sample_waiting(run);
        sample_network(run);
    }
    run_stats_compare(stats, limits);
    if (stats->wall_exceeded || stats->cpu_exceeded || run->lacks_memory) {
        kill_run(run);
        return 0;
    }
    if (reads_cpu) {
        uint64_t left = (limits->cpu_us - stats->cpu_us) / processors;
        *next_cpu_check_us = now + (left > CPU_CHECK_US_MIN ? left : CPU_CHECK_US_MIN);
    }
    uint64_t next = run->begun_us + limits->wall_us + stats->waited_us;
    if (has_cpu_clock && *next_cpu_check_us < next)
        next = *next_cpu_check_us;
    if (has_cpu_clock && run->next_sample_us < next)
        next = run->next_sample_us;
    return next > now ? next - now : 0;
}

/* With denied_syscalls=kill the program's process first sends the listener.  Denied calls then arrive on it. */
static void read_notify(struct active_run *run)
{
    if (!run->listening) {
        char none;
        int listener = -1;
        size_t fds = 0;
        (void)packet_receive(run->notify, &none, sizeof none, &listener, 1, &fds, MSG_DONTWAIT);
        (void)close(run->notify);
        run->notify = listener;
        run->listening = true;
        return;
    }
    uint32_t number = 0, arch = 0;
    if (seccomp_listener_receive(run->notify, &number, &arch) == 0) {
        run->stats.denied_syscall = UINT64_C(1) + number;
        run->stats.denied_arch = arch;
        run->stats.denied_is_foreign = seccomp_is_foreign(number, arch);
        kill_run(run);
    } else if (errno != EINTR && errno != ENOENT) { /* ENOENT: the caller has been killed */
        (void)close(run->notify);
        run->notify = -1;
    }
}

/* Returns when the run has ended.  -1: the worker is gone, and the run has been killed. */
static int supervise_run(struct active_run *run)
{
    enum { INIT, WORKER, OOM, REPORT, NOTIFY, POLLED };
    struct pollfd polled[POLLED] = {
        [INIT] = { .fd = run->pidfd, .events = POLLIN },          [WORKER] = { .fd = slot.socket, .events = POLLIN },
        [OOM] = { .fd = slot.group.oom_event, .events = POLLIN }, [REPORT] = { .fd = run->report, .events = POLLIN },
        [NOTIFY] = { .fd = run->notify, .events = POLLIN },
    };
    run->next_sample_us = run->begun_us + WAIT_SAMPLE_US;
    uint64_t next_cpu_check_us = run->begun_us + CPU_CHECK_US_MIN + slot.request.limits.cpu_us / processors;
    int result = 0;
    for (;;) {
        uint64_t wait_us = run->kills > 0 ? 0 : check_clocks(run, &next_cpu_check_us);
        if (run->kills > 0)
            wait_us = backend->kill_retry_us;
        struct timespec wait = { .tv_sec = (time_t)(wait_us / 1000000), .tv_nsec = (long)(wait_us % 1000000) * 1000 };
        int ready = ppoll(polled, POLLED, &wait, NULL);
        if ((ready < 0 && errno != EINTR) || (ready == 0 && run->kills > 0))
            kill_run(run);
        if (ready <= 0)
            continue;
        if (polled[INIT].revents != 0)
            return result;
        if (polled[WORKER].revents != 0 && serve_worker(run) < 0) {
            result = -1;
            polled[WORKER].fd = -1;
            run->stats.cancelled = true;
            kill_run(run);
        }
        if (polled[OOM].revents != 0) {
            uint64_t count;
            (void)!read(polled[OOM].fd, &count, sizeof count);
            if (cgroup_run_oom_kills(&slot.group) > 0)
                kill_run(run);
        }
        if (polled[REPORT].revents != 0 && !slot_read_report(run))
            polled[REPORT].fd = -1;
        if (run->end.kind != 0 && run->kills == 0)
            return result; /* only init is left, and exits after the answer */
        if (polled[NOTIFY].revents != 0) {
            read_notify(run);
            polled[NOTIFY].fd = run->notify;
        }
    }
}

/* Runs the request and answers.  -1: the worker is gone. */
static int serve_run(const int fds[], size_t fds_len, struct active_run *run)
{
    struct slot_reply reply = { .op = SLOT_DONE, .run = slot.request.run };
    int result = 0;
    slot.files_bytes = 0;
    bool started = check_request(fds, fds_len, &reply) == 0 && charge_files(fds, run, &reply) == 0 &&
                   backend->start(&slot, fds, run, &reply) == 0;
    /* Closed before the end is awaited: the worker reads the streams until their last copy is closed. */
    for (size_t i = 0; i < fds_len; i++)
        (void)close(fds[i]);
    if (started) {
        result = supervise_run(run);
        backend->finish(&slot, run, &reply);
        if (slot.group.group.mode != CGROUP_NONE && has_used_wall(&run->stats, &slot.request.limits))
            sample_waiting(run);                              /* init itself may have waited */
        run_stats_compare(&run->stats, &slot.request.limits); /* it may have ended by itself before the slot looked */
    }
    run->stats.memory_bytes += slot.files_bytes + run->network.peak_bytes;
    reply.stats = run->stats;
    reply.exec_os = run->exec_os;
    if (packet_send(slot.socket, &reply, sizeof reply, NULL, 0) < 0)
        result = -1;
    return result;
}

/* ---- between runs ---- */

static _Noreturn void give_up(const char *text)
{
    dprintf(STDERR_FILENO, "evalx slot %u: %s\n", slot.settings->number, text);
    _exit(1); /* the launcher cleans up, and the worker asks for a new slot */
}

static void prepare_next(void)
{
    struct error err;
    if (open_group(&err) < 0)
        give_up(err.text);
    backend->prepare(&slot);
}

/* Reaps the inits that have exited.  Waits for the oldest if the list is full. */
static void reap_exiting_inits(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < exiting_inits_len; i++) {
        bool waits = i == 0 && exiting_inits_len == EXITING_INITS_MAX;
        pid_t got;
        do
            got = waitpid(exiting_inits[i], NULL, waits ? 0 : WNOHANG);
        while (got < 0 && errno == EINTR);
        if (got == 0)
            exiting_inits[kept++] = exiting_inits[i];
    }
    exiting_inits_len = kept;
}

/* Cleans up after earlier runs until a request arrives. */
static void await_request(void)
{
    struct pollfd polled = { .fd = slot.socket, .events = POLLIN };
    for (int wait_ms = 1; exiting_inits_len + busy_groups_len > 0 && poll(&polled, 1, wait_ms) == 0;) {
        reap_exiting_inits();
        close_busy_groups();
        wait_ms = wait_ms < 1000 ? wait_ms * 2 : 1000;
    }
}

/* The run has been answered.  Prepares the next run while the rest of this one ends. */
static void recycle(struct active_run *run)
{
    struct cgroup_run used = slot.group;
    if (backend->release != NULL)
        backend->release();
    prepare_next();
    if (backend->reset != NULL)
        backend->reset(&slot);
    reap_exiting_inits();
    if (run->init > 0 && !run->reaped)
        exiting_inits[exiting_inits_len++] = run->init;
    network_memory_done(&run->network);
    cleanup_close(&run->report);
    cleanup_close(&run->notify);
    cleanup_close(&run->pidfd);
    close_busy_groups();
    close_group(&used);
}

static int setup(struct error *err)
{
    const struct cgroup *group = &slot.settings->group;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "die with the launcher");
    if (cgroup_shared_open(group, &shared_group, err) < 0 ||
        (group->mode != CGROUP_NONE && cgroup_slot_enter(group, err) < 0))
        return -1;
    return backend->setup(&slot, err);
}

/*
 * The number of processors that the slot's runs have.  If they are pinned, the slot takes one of the processors that
 * the worker was given, in the order of the slots' numbers.
 */
static int take_processors(unsigned *ret, struct error *err)
{
    cpu_set_t all, one;
    *ret = 1;
    if (sched_getaffinity(0, sizeof all, &all) < 0)
        return 0;
    unsigned count = (unsigned)CPU_COUNT(&all), turn = slot.settings->number % count;
    if (!slot.settings->pin) {
        *ret = count;
        return 0;
    }
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all) || turn-- > 0)
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "pin to processor %d", cpu);
    return 0;
}

_Noreturn void slot_main(const struct slot_settings *settings, int socket)
{
    struct error err;
    slot.settings = settings;
    slot.socket = socket;
    backend = settings->isolate != NULL ? &backend_isolate : &backend_native;
    memory_max = request_memory_max();
    if (take_processors(&processors, &err) < 0 || setup(&err) < 0)
        give_up(err.text);
    prepare_next();
    for (;;) {
        int fds[SLOT_FDS_MAX];
        size_t fds_len = 0;
        await_request();
        int got = receive_request(&slot.request, fds, &fds_len, 0);
        if (got == 0 || (got < 0 && errno != EBADMSG))
            _exit(0);
        if (got < 0)
            continue;
        if (slot.request.op != SLOT_RUN) { /* a kill for a run that has ended */
            for (size_t i = 0; i < fds_len; i++)
                (void)close(fds[i]);
            continue;
        }
        struct active_run run = { .init = -1, .pidfd = -1, .report = -1, .notify = -1, .network = NETWORK_MEMORY_NONE };
        if (serve_run(fds, fds_len, &run) < 0)
            _exit(0);
        recycle(&run);
    }
}
