/*
 * slot: theory of operation.
 *
 * The worker holds the other end of `socket`.  A SLOT_RUN carries the program's limits, words and descriptors; the
 * slot's driver (backend.h) starts the run's first process, and the slot watches with one ppoll: the socket (a
 * kill, or the worker gone), init's pidfd (the run has ended) and reports, the clock (wall limit, and when the CPU
 * limit could be reached at the earliest), on cgroup v1 the out-of-memory event, and, where they end a run, refused
 * system calls.  To end a run it asks the driver, which sees to it that when the pidfd fires nothing of the run
 * lives.
 *
 * The cgroup of the next run is made after the answer has been sent, off the path.
 * Limits are clamped to the ceilings of protocol.h and of the machine's memory: this side trusts no number it is told.
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
#include "sandboxd/backend.h"
#include "sandboxd/request_check.h"

/* The CPU clock is looked at no more often than this, and no later than this after it could have run out. */
#define CPU_CHECK_US_MIN 1000u

uint64_t slot_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int slot_refuse(struct slot_reply *reply, int os, const char *text)
{
    reply->os = os;
    (void)snprintf(reply->text, sizeof reply->text, "%s", text);
    return -1;
}

/* ---- the request ---- */

/* As packet_receive: one of the two sizes, and the strings within it. */
static int receive_request(int socket, struct slot_request *request, int fds[], size_t *ret_fds_len, int flags)
{
    ssize_t got = packet_receive_some(socket, request, SLOT_REQUEST_SHORT_BYTES, sizeof *request, fds, SLOT_FDS_MAX,
                                      ret_fds_len, flags);
    if (got <= 0 || (size_t)got == sizeof *request)
        return got > 0 ? 1 : (int)got;
    if ((size_t)got == SLOT_REQUEST_SHORT_BYTES && request->strings_len <= SLOT_STRINGS_SHORT_BYTES)
        return 1;
    for (size_t i = 0; i < *ret_fds_len; i++)
        (void)close(fds[i]);
    errno = EBADMSG;
    return -1;
}

static struct image *find_image(const struct slot_settings *settings, const char name[CONTROL_IMAGE_BYTES])
{
    for (size_t i = 0; i < settings->images_len; i++)
        if (strncmp(settings->images[i].name, name, CONTROL_IMAGE_BYTES) == 0)
            return &settings->images[i];
    return NULL;
}

static int check(struct slot *slot, const int fds[], size_t fds_len, struct slot_reply *reply)
{
    struct slot_request *r = &slot->request;
    const char *why = NULL;
    int os = request_check_run(r, slot->memory_max, fds, fds_len, slot->words, &why);
    if (os != 0)
        return slot_refuse(reply, os, why);
    slot->image = find_image(slot->settings, r->image);
    if (slot->image == NULL)
        return slot_refuse(reply, ENOENT, "the slot does not know this image; it was named after the slot was opened");
    return 0;
}

/* ---- groups ---- */

void slot_remove_later(struct slot *slot, struct cgroup_run *run)
{
    if (cgroup_run_close(run) < 0 && slot->leftovers_len < LEFTOVERS_MAX)
        slot->leftovers[slot->leftovers_len++] = *run;
    /* More than that: the launcher removes them with the slot. */
}

static void remove_leftovers(struct slot *slot)
{
    size_t kept = 0;
    for (size_t i = 0; i < slot->leftovers_len; i++)
        if (cgroup_run_close(&slot->leftovers[i]) < 0)
            slot->leftovers[kept++] = slot->leftovers[i];
    slot->leftovers_len = kept;
}

/* ---- the run ---- */

int slot_reap(struct active_run *active_run)
{
    int status = 0;
    if (active_run->reaped || active_run->init <= 0)
        return 0;
    while (waitpid(active_run->init, &status, 0) < 0 && errno == EINTR)
        ;
    active_run->reaped = true;
    return status;
}

int slot_archive_fd(const struct slot *slot, const int fds[])
{
    return (slot->request.flags & SLOT_HAS_ARCHIVE) ? fds[SLOT_FD_BASE_COUNT_] : -1;
}

int slot_keep_fd(const struct slot *slot, const int fds[])
{
    bool has_archive = (slot->request.flags & SLOT_HAS_ARCHIVE) != 0;
    return (slot->request.flags & SLOT_KEEP_FILES) ? fds[SLOT_FD_BASE_COUNT_ + has_archive] : -1;
}

static void end_run(const struct slot *slot, struct active_run *active_run)
{
    slot->backend->end(active_run);
    active_run->asked_to_end++;
}

/* What the worker has to say during a run; -1 when the worker is gone. */
static int hear_worker(struct slot *slot, struct active_run *active_run)
{
    static struct slot_request message;
    int fds[SLOT_FDS_MAX];
    size_t fds_len = 0;
    int got = receive_request(slot->socket, &message, fds, &fds_len, MSG_DONTWAIT);
    if (got == 0)
        return -1;
    for (size_t i = 0; got > 0 && i < fds_len; i++)
        (void)close(fds[i]);
    if (got > 0 && message.op == SLOT_KILL && message.run == slot->request.run) {
        if (message.reason == SLOT_KILL_OUTPUT)
            active_run->stats.output_exceeded = true;
        else
            active_run->stats.cancelled = true;
        end_run(slot, active_run);
    }
    return 0;
}

uint64_t slot_cpu_us(const struct slot *slot, const struct active_run *active_run)
{
    uint64_t used = cgroup_run_cpu_us(&slot->next);
    uint64_t own = slot->backend->own_cpu_us != NULL ? slot->backend->own_cpu_us(active_run) : 0;
    return used > own ? used - own : 0;
}

/* Ends the run if a clock has run out; otherwise how long until one could. */
static uint64_t check_clocks(const struct slot *slot, struct active_run *active_run, uint64_t *cpu_check_us)
{
    const struct limits *l = &slot->request.limits;
    uint64_t now = slot_now_us(), wall = now - active_run->begun_us;
    uint64_t wall_max = active_run->started ? l->wall_us : INIT_GRACE_US;
    if (wall >= wall_max) {
        active_run->stats.wall_exceeded = active_run->started; /* a box that is not ready by then is broken */
        end_run(slot, active_run);
        return INIT_GRACE_US;
    }
    if (now >= *cpu_check_us && slot->next.group.version != CGROUP_NONE) {
        uint64_t used = slot_cpu_us(slot, active_run);
        if (used >= l->cpu_us) {
            active_run->stats.cpu_exceeded = true;
            end_run(slot, active_run);
            return INIT_GRACE_US;
        }
        uint64_t left = (l->cpu_us - used) / slot->processors;
        *cpu_check_us = now + (left > CPU_CHECK_US_MIN ? left : CPU_CHECK_US_MIN);
    }
    uint64_t until_wall = wall_max - wall;
    uint64_t until_cpu = *cpu_check_us > now ? *cpu_check_us - now : 0;
    return slot->next.group.version != CGROUP_NONE && until_cpu < until_wall ? until_cpu : until_wall;
}

bool slot_has_ended(const struct run_stats *stats)
{
    return stats->wall_exceeded || stats->cpu_exceeded || stats->cancelled || stats->output_exceeded ||
           stats->denied_syscall != 0;
}

/* First the listener itself arrives, from the program's process before it becomes the program; then refused calls. */
static void hear_notify(const struct slot *slot, struct active_run *active_run)
{
    if (!active_run->has_listener) {
        char none;
        int listener = -1;
        size_t fds = 0;
        (void)packet_receive(active_run->notify, &none, sizeof none, &listener, 1, &fds, MSG_DONTWAIT);
        (void)close(active_run->notify);
        active_run->notify = listener;
        active_run->has_listener = true;
        return;
    }
    int number = seccomp_filter_heard(active_run->notify);
    if (number >= 0) {
        active_run->stats.denied_syscall = (uint32_t)number + 1;
        end_run(slot, active_run);
    } else if (errno != EINTR && errno != ENOENT) { /* ENOENT: the caller was killed meanwhile */
        (void)close(active_run->notify);
        active_run->notify = -1;
    }
}

/* One report of init or of the program's process; false when there is none. */
bool slot_hear_report(struct active_run *active_run)
{
    struct init_report report;
    if (read(active_run->report, &report, sizeof report) != (ssize_t)sizeof report)
        return false;
    if (report.kind == INIT_STARTED) {
        active_run->started = true;
        active_run->begun_us = report.begun_us;
    } else if (report.kind == INIT_NOT_EXECUTABLE) {
        active_run->exec_os = report.os;
    } else if (report.kind == INIT_FAILED && active_run->failure.kind == 0) {
        active_run->failure = report;
    } else if (report.kind == INIT_ENDED) {
        active_run->end = report;
    }
    return true;
}

/* Until init is gone.  -1 when the worker is gone (the run has been ended then). */
static int supervise_run(struct slot *slot, struct active_run *active_run)
{
    struct pollfd polled[5] = {
        { .fd = active_run->pidfd, .events = POLLIN },    { .fd = slot->socket, .events = POLLIN },
        { .fd = slot->next.oom_event, .events = POLLIN }, { .fd = active_run->report, .events = POLLIN },
        { .fd = active_run->notify, .events = POLLIN },
    };
    uint64_t cpu_check_us = active_run->begun_us + CPU_CHECK_US_MIN + slot->request.limits.cpu_us / slot->processors;
    int result = 0;
    for (;;) {
        uint64_t wait_us =
            active_run->asked_to_end > 0 ? slot->backend->end_again_us : check_clocks(slot, active_run, &cpu_check_us);
        struct timespec wait = { .tv_sec = (time_t)(wait_us / 1000000), .tv_nsec = (long)(wait_us % 1000000) * 1000 };
        int ready = ppoll(polled, 5, &wait, NULL);
        if ((ready < 0 && errno != EINTR) || (ready == 0 && active_run->asked_to_end > 0))
            end_run(slot, active_run);
        if (ready <= 0)
            continue;
        if (polled[0].revents != 0)
            return result;
        if (polled[1].revents != 0 && hear_worker(slot, active_run) < 0) {
            result = -1;
            polled[1].fd = -1;
            active_run->stats.cancelled = true;
            end_run(slot, active_run);
        }
        if (polled[2].revents != 0) {
            uint64_t count;
            (void)!read(polled[2].fd, &count, sizeof count);
            if (cgroup_run_oom_kills(&slot->next) > 0)
                end_run(slot, active_run);
        }
        if (polled[3].revents != 0 && !slot_hear_report(active_run))
            polled[3].fd = -1;
        if (active_run->end.kind != 0 && active_run->asked_to_end == 0)
            return result; /* nothing of the box lives but init, on its way out */
        if (polled[4].revents != 0) {
            hear_notify(slot, active_run);
            polled[4].fd = active_run->notify;
        }
    }
}

static int run(struct slot *slot, const int fds[], size_t fds_len, struct active_run *active_run)
{
    struct slot_reply reply = { .op = SLOT_DONE, .run = slot->request.run };
    int gone = 0;
    bool started = false;
    if (check(slot, fds, fds_len, &reply) == 0 && slot->backend->start(slot, fds, active_run, &reply) == 0)
        started = true;
    /* Our copies must go before the end is awaited: the worker reads the streams until nobody can write to them. */
    for (size_t i = 0; i < fds_len; i++)
        (void)close(fds[i]);
    if (started) {
        gone = supervise_run(slot, active_run);
        slot->backend->finish(slot, active_run, &reply);
    }
    reply.stats = active_run->stats;
    reply.exec_os = active_run->exec_os;
    if (packet_send(slot->socket, &reply, sizeof reply, NULL, 0) < 0)
        gone = -1;
    return gone;
}

/* ---- the process ---- */

static void prepare_next(struct slot *slot)
{
    struct error err;
    if (cgroup_run_open(&slot->settings->group, &slot->cgroup_runs, slot->groups++, &slot->next, &err) < 0) {
        dprintf(STDERR_FILENO, "evalx slot %u: %s\n", slot->settings->number, err.text);
        _exit(1); /* the launcher cleans up, the worker asks for a new slot */
    }
    if (slot->backend->prepare != NULL)
        slot->backend->prepare(slot);
}

/* Waits for those that have ended, and for the oldest where there are too many. */
static void reap_retired(struct slot *slot)
{
    size_t kept = 0;
    for (size_t i = 0; i < slot->retired_len; i++) {
        bool waits = i == 0 && slot->retired_len == RETIRED_MAX;
        pid_t got;
        do
            got = waitpid(slot->retired[i], NULL, waits ? 0 : WNOHANG);
        while (got < 0 && errno == EINTR);
        if (got == 0)
            slot->retired[kept++] = slot->retired[i];
    }
    slot->retired_len = kept;
}

/* While there is nothing to do: what has been retired is seen to its end. */
static void await_request(struct slot *slot)
{
    struct pollfd polled = { .fd = slot->socket, .events = POLLIN };
    for (int wait_ms = 1; slot->retired_len + slot->leftovers_len > 0 && poll(&polled, 1, wait_ms) == 0;) {
        reap_retired(slot);
        remove_leftovers(slot);
        wait_ms = wait_ms < 1000 ? wait_ms * 2 : 1000;
    }
}

/* The run has been answered: first the next is made ready, while what is left of this one ends. */
static void recycle(struct slot *slot, struct active_run *active_run)
{
    struct cgroup_run spent = slot->next;
    cleanup_close(&active_run->line);
    active_run->line = -1;
    prepare_next(slot);
    if (slot->backend->reset != NULL)
        slot->backend->reset(slot);
    reap_retired(slot);
    if (active_run->init > 0 && !active_run->reaped)
        slot->retired[slot->retired_len++] = active_run->init;
    const int own[] = { active_run->report, active_run->notify, active_run->pidfd };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i] >= 0)
            (void)close(own[i]);
    remove_leftovers(slot);
    slot_remove_later(slot, &spent);
}

static void setup(struct slot *slot)
{
    const struct slot_settings *settings = slot->settings;
    struct error err = { 0 };
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        error_set(&err, ERROR_SANDBOX, errno, "die with the launcher");
    else if (cgroup_runs_open(&settings->group, &slot->cgroup_runs, &err) == 0 &&
             (settings->group.version == CGROUP_NONE || cgroup_slot_enter(&settings->group, &err) == 0))
        slot->backend->setup(slot, &err);
    if (err.kind != ERROR_NONE) {
        dprintf(STDERR_FILENO, "evalx slot %u: %s\n", settings->number, err.text);
        _exit(1);
    }
}

/* How many its runs have.  Where they are pinned, slots take turns in the processors that the worker was given. */
static unsigned take_processors(const struct slot_settings *settings)
{
    cpu_set_t set, one;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    unsigned count = (unsigned)CPU_COUNT(&set), turn = settings->number % count;
    if (!settings->pin)
        return count;
    int cpu = 0;
    while (!CPU_ISSET(cpu, &set) || turn-- > 0)
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) < 0) {
        dprintf(STDERR_FILENO, "evalx slot %u: take processor %d: %s\n", settings->number, cpu, strerror(errno));
        _exit(1);
    }
    return 1;
}

_Noreturn void slot_main(const struct slot_settings *settings, int socket)
{
    static struct slot slot;
    slot.settings = settings;
    slot.backend = settings->isolate != NULL ? &backend_isolate : &backend_native;
    slot.socket = socket;
    slot.processors = take_processors(settings);
    slot.memory_max = request_memory_max();
    setup(&slot);
    prepare_next(&slot);
    for (;;) {
        int fds[SLOT_FDS_MAX];
        size_t fds_len = 0;
        await_request(&slot);
        int got = receive_request(socket, &slot.request, fds, &fds_len, 0);
        if (got == 0 || (got < 0 && errno != EBADMSG))
            _exit(0);
        if (got < 0)
            continue;
        if (slot.request.op != SLOT_RUN) { /* a kill that came too late */
            for (size_t i = 0; i < fds_len; i++)
                (void)close(fds[i]);
            continue;
        }
        struct active_run active_run = { .init = -1, .pidfd = -1, .report = -1, .notify = -1, .line = -1 };
        if (run(&slot, fds, fds_len, &active_run) < 0)
            _exit(0);
        recycle(&slot, &active_run);
    }
}
