/*
 * backend_native: runs made of fresh namespaces (see stage.h for the two processes of a run), in boxes made ahead
 * (ahead.h).
 *
 * The run's first process is init, pid 1 of the box: when it ends, however it ends, the kernel kills and reaps all
 * that is left in the pid namespace before its parent hears of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/packet.h"
#include "sandboxd/backend.h"
#include "sandboxd/exec_stub.h"
#include "sandboxd/init_process.h"
#include "sandboxd/standby.h"

/* How long the collector of sockets may take; it takes some ms where a run left any, and the next run waits for it. */
#define COLLECT_MS_MAX 2000u
/* Bundles up to here are unpacked before it matters to the program's clock. */
#define ARCHIVE_QUICK_BYTES (1 << 20)

/* In the network of the slot's runs: "sockets: used N", the first line.  Kernels do not count their own. */
static unsigned count_sockets(const struct slot *slot)
{
    static const char before[] = "sockets: used ";
    char text[64];
    ssize_t got = pread(slot->sockets, text, sizeof text - 1, 0);
    if (got < (ssize_t)sizeof before || memcmp(text, before, sizeof before - 1) != 0)
        return UINT_MAX;
    text[got] = '\0';
    return (unsigned)strtoul(text + sizeof before - 1, NULL, 10);
}

/*
 * The network of the slot's runs is made by its process, which then goes back to its own: the sockets that the root
 * side and its boxes talk by must not stand where programs are, or be taken for a program's.
 */
static void setup(struct slot *slot, struct error *err)
{
    auto_close int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0 || unshare(CLONE_NEWNET) < 0) {
        error_set(err, ERROR_SANDBOX, errno, "make a network namespace");
        return;
    }
    slot->network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    slot->sockets = open("/proc/thread-self/net/sockstat", O_RDONLY | O_CLOEXEC);
    if (slot->network < 0 || slot->sockets < 0 || setns(own, CLONE_NEWNET) < 0) {
        error_set(err, ERROR_SANDBOX, errno, "keep a network namespace");
        return;
    }
    slot->sockets_at_first = count_sockets(slot);
    if (slot->sockets_at_first == UINT_MAX) {
        error_set(err, ERROR_SANDBOX, 0, "/proc/net/sockstat does not say how many sockets are in a network");
        return;
    }
    exec_cache_init(&slot->exec_cache);
    slot->exec_stub = exec_stub_open();
    if (slot->exec_stub < 0)
        error_set(err, ERROR_SANDBOX, errno, "make a file of the threshold");
}

/* Are there sockets in the network of the slot's runs? */
static bool has_sockets(const struct slot *slot)
{
    return count_sockets(slot) != slot->sockets_at_first;
}

/*
 * Sockets that were sent over each other, and that nobody can receive any more, outlive their processes until the
 * kernel collects them; with them the names they hold in the slot's network, which the next run would find, and
 * whatever else was sent along: memory that no group is charged for any more.  Closing any socket starts the collector.
 */
static void collect_sockets(struct slot *slot)
{
    for (unsigned waited_ms = 0; has_sockets(slot); waited_ms++) {
        int pair[2];
        if (waited_ms == COLLECT_MS_MAX) {
            dprintf(STDERR_FILENO, "evalx slot %u: sockets of a run outlive it\n", slot->settings->number);
            _exit(1); /* the next run gets a new slot, and with it a new network */
        }
        if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0) {
            (void)close(pair[0]);
            (void)close(pair[1]);
        }
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
}

/* The slot's own assembly of the image, made at its first use. */
static int have_image(struct slot *slot, struct slot_reply *reply)
{
    struct image *image = slot->image;
    struct error err;
    if (image->mount_ns < 0 && rootfs_build(slot->settings->images_folder, image, &err) < 0)
        return slot_refuse(reply, err.os != 0 ? err.os : EIO, err.text);
    return 0;
}

/*
 * Programs open their streams again by /dev/stdout and /dev/stderr, which of a pipe only its owner may.  Only what
 * lives where `pipe_end` does, a pipe without a name: the worker chooses the descriptors, and not who owns the host's
 * files.
 */
static void give_streams(const int fds[], int pipe_end, uid_t uid)
{
    struct stat st, own;
    if (fstat(pipe_end, &own) < 0)
        return;
    for (int i = SLOT_FD_STDOUT; i <= SLOT_FD_STDERR; i++)
        if (fstat(fds[i], &st) == 0 && S_ISFIFO(st.st_mode) && st.st_dev == own.st_dev)
            (void)!fchown(fds[i], uid, uid); /* without it only this convenience is missing */
}

/* A fresh group for a box that cannot use the one that stands: a used group keeps a false peak. */
static int renew_group(struct slot *slot, struct error *err)
{
    struct cgroup_run spent = slot->next;
    slot->limited = (struct limits){ 0 };
    if (cgroup_run_open(&slot->settings->group, &slot->cgroup_runs, slot->groups++, &slot->next, err) < 0) {
        slot->next = spent;
        return -1;
    }
    slot_remove_later(slot, &spent);
    return 0;
}

static int limit_group(struct slot *slot, const struct limits *limits, struct error *err)
{
    if (slot->limited.memory_bytes == limits->memory_bytes && slot->limited.processes == limits->processes)
        return 0;
    slot->limited = *limits;
    return cgroup_run_limit(&slot->next, limits, err);
}

static int make_standby(struct slot *slot, const struct standby_kind *kind, int probe, struct error *err)
{
    const struct slot_settings *settings = slot->settings;
    uid_t uid = settings->uid_first + (uint32_t)(slot->runs++ % SLOT_UIDS);
    if (standby_make(kind, &slot->next, settings->filters, slot->stands, slot->network, slot->exec_stub, uid, probe,
                     &slot->standby, err) < 0)
        return -1;
    slot->standby_uid = uid;
    return 0;
}

static void drop_standby(struct slot *slot)
{
    prestart_close(&slot->prestart);
    standby_drop(&slot->standby);
}

/* Two equal requests in a row are taken for a line of them. */
static void learn(struct slot *slot, const struct standby_kind *kind)
{
    struct prestart_kind asked;
    slot->likely = *kind;
    slot->likely_limits = slot->request.limits;
    prestart_kind_of(&slot->request, &asked);
    slot->likely_prestart = prestart_kind_equal(&asked, &slot->last_prestart);
    slot->last_prestart = asked;
}

/* The program of the last requests, where it is on a shelf. */
static void offer_program(struct slot *slot, struct standby_kind *kind)
{
    bool waits = slot->last_prestart.is_set; /* for a source, then, and not for a program */
    kind->exec_cached = kind->image == NULL || waits ? 0 : exec_cache_offer(&slot->exec_cache, kind->image);
    kind->program = slot->exec_cache.name;
}

/* For another run like the last.  Without it the next one makes its box itself, and tells what is wrong. */
static void prepare(struct slot *slot)
{
    struct error ignored;
    drop_standby(slot); /* one still stands where the request was refused */
    slot->limited = (struct limits){ 0 };
    offer_program(slot, &slot->likely);
    if (slot->likely.image == NULL || limit_group(slot, &slot->likely_limits, &ignored) < 0 ||
        make_standby(slot, &slot->likely, -1, &ignored) < 0 || !slot->likely_prestart)
        return;
    bool no_cgroup = slot->next.group.version == CGROUP_NONE;
    if (prestart_start(&slot->standby, &slot->last_prestart, slot->standby_uid, no_cgroup, &slot->prestart) < 0)
        drop_standby(slot);
}

/* Now and then a box ends before it is used: a process of it was killed, or could not be made. */
static bool standby_lives(const struct slot *slot)
{
    struct pollfd ended = { .fd = slot->standby.pidfd, .events = POLLIN };
    return poll(&ended, 1, 0) == 0;
}

/*
 * The standing filter is for good, so it waits for what tells that this worker's runs are not strict: compiles and the
 * self-test never are.  A strict one after that would need a worker that has changed its mind; it gets a new slot.
 */
static void load_standing_filter(struct slot *slot)
{
    const struct slot_request *r = &slot->request;
    bool is_strict = (r->flags & SLOT_DENIED_ENDS) != 0;
    if (slot->stands && is_strict) {
        dprintf(STDERR_FILENO, "evalx slot %u: asked for a strict filter after others\n", slot->settings->number);
        _exit(1);
    }
    if (!slot->stands && !is_strict && (r->flags & (SLOT_KEEP_FILES | SLOT_SELF_TEST)) == 0)
        slot->stands = seccomp_filter_load(&slot->settings->filters->standing) == 0;
}

/* Makes sure that a box for this request is there; -1 with *reply. */
static int have_box(struct slot *slot, int archive, struct slot_reply *reply)
{
    const struct slot_request *r = &slot->request;
    struct standby_kind kind = { .image = slot->image,
                                 .disk_bytes = r->limits.disk_bytes,
                                 .class = r->class,
                                 .denied_ends = (r->flags & SLOT_DENIED_ENDS) != 0 };
    bool tests_itself = (r->flags & SLOT_SELF_TEST) != 0;
    struct error err;
    load_standing_filter(slot);
    if (!(r->flags & (SLOT_KEEP_FILES | SLOT_SELF_TEST))) { /* a compile is followed by runs, not by its like */
        exec_cache_see(&slot->exec_cache, archive);
        kind.exec_cached = exec_cache_number(&slot->exec_cache, slot->image);
        kind.program = slot->exec_cache.name;
        learn(slot, &kind);
    }
    bool fits = !slot->prestart.kind.is_set ||
                (!(r->flags & SLOT_KEEP_FILES) && prestart_kind_equal(&slot->prestart.kind, &slot->last_prestart));
    if (!tests_itself && fits && standby_fits(&slot->standby, &kind) && standby_lives(slot))
        return limit_group(slot, &r->limits, &err) < 0 ? slot_refuse(reply, err.os != 0 ? err.os : EIO, err.text) : 0;
    bool was_there = slot->standby.kind.image != NULL;
    drop_standby(slot);
    auto_close int probe = tests_itself ? open("/proc/self/exe", O_PATH | O_CLOEXEC) : -1;
    if ((was_there && renew_group(slot, &err) < 0) || limit_group(slot, &r->limits, &err) < 0 ||
        make_standby(slot, &kind, probe, &err) < 0)
        return slot_refuse(reply, err.os != 0 ? err.os : EIO, err.text);
    return 0;
}

/* Is there so much to unpack that the program's clock must not run meanwhile?  (1 MiB takes about 0.3 ms.) */
static bool takes_time(const struct slot *slot, const int fds[])
{
    struct stat st;
    int archive = slot_archive_fd(slot, fds);
    off_t there = slot->standby.kind.exec_cached != 0 ? (off_t)slot->exec_cache.size : 0;
    return archive >= 0 && (fstat(archive, &st) < 0 || st.st_size - there > ARCHIVE_QUICK_BYTES);
}

static int send_exec_request(struct slot *slot, const int fds[], bool tells_start)
{
    static struct exec_request exec_request;
    const struct slot_request *r = &slot->request;
    exec_request.limits = r->limits;
    exec_request.flags = r->flags | (tells_start ? EXEC_REPORTS_START : 0) |
                         (slot->next.group.version == CGROUP_NONE ? EXEC_NO_CGROUP : 0);
    exec_request.words = r->words;
    exec_request.variables = r->variables;
    exec_request.strings_len = r->strings_len;
    memcpy(exec_request.strings, r->strings, r->strings_len);
    size_t fds_len = SLOT_FD_BASE_COUNT_ + ((r->flags & SLOT_HAS_ARCHIVE) != 0) + ((r->flags & SLOT_KEEP_FILES) != 0);
    return packet_send(slot->standby.line, &exec_request, EXEC_REQUEST_HEAD_BYTES + exec_request.strings_len, fds,
                       fds_len);
}

static void end(struct active_run *active_run)
{
    (void)syscall(SYS_pidfd_send_signal, active_run->pidfd, SIGKILL, NULL, 0);
}

static int start(struct slot *slot, const int fds[], struct active_run *active_run, struct slot_reply *reply)
{
    if (have_image(slot, reply) < 0 || have_box(slot, slot_archive_fd(slot, fds), reply) < 0)
        return -1;
    struct standby *standby = &slot->standby;
    give_streams(fds, standby->report, slot->standby_uid);
    active_run->init = standby->init;
    active_run->pidfd = standby->pidfd;
    active_run->report = standby->report;
    active_run->notify = standby->notify;
    active_run->begun_us = slot_now_us();
    cgroup_run_begin(&slot->next); /* making its box is not its own */
    standby->kind.image = NULL;    /* it is the run's now */
    /* Where its end cannot be reached the box has ended, and its report says why. */
    active_run->line = standby->line;
    if (slot->prestart.kind.is_set) {
        active_run->started = true;
        int result = prestart_feed(&slot->prestart, standby, slot->socket, &slot->request, fds[SLOT_FD_STDIN],
                                   slot_archive_fd(slot, fds));
        prestart_close(&slot->prestart);
        if (result < 0)
            end(active_run);
        return 0;
    }
    bool tells_start = takes_time(slot, fds);
    active_run->started = !tells_start;
    (void)!send_exec_request(slot, fds, tells_start);
    return 0;
}

/* What the steps reported.  The program's end, if there is one, comes last; a step that failed before explains it. */
static void finish(struct slot *slot, struct active_run *active_run, struct slot_reply *reply)
{
    if (active_run->end.kind == 0) { /* it was ended, or broke: what it still said is in the pipe */
        (void)slot_reap(active_run);
        while (slot_hear_report(active_run))
            ;
    }
    if (active_run->failure.kind != 0) {
        (void)snprintf(reply->text, sizeof reply->text, "step '%s'%s", init_step_name(active_run->failure.step),
                       init_step_remedy(active_run->failure.step, active_run->failure.os));
        reply->os = active_run->failure.os != 0 ? active_run->failure.os : EIO;
        return;
    }
    const struct init_report end = active_run->end;
    struct run_stats *stats = &active_run->stats;
    uint64_t wall_us = slot_now_us() - active_run->begun_us;
    cgroup_run_facts(&slot->next, stats);
    if (end.kind != 0) {
        stats->wall_us = end.wall_us;
        stats->exit_code = WIFEXITED(end.wait_status) ? WEXITSTATUS(end.wait_status) : 0;
        stats->signal = WIFSIGNALED(end.wait_status) ? WTERMSIG(end.wait_status) : 0;
        reply->files_kept = end.files_kept;
        if (end.pack_os != 0) {
            (void)snprintf(reply->text, sizeof reply->text, "keep the files of the box: %s", strerror(end.pack_os));
            if (end.pack_os != EFBIG && end.pack_os != ENAMETOOLONG) /* these are what the program made of its box */
                reply->os = end.pack_os;
        }
        if (slot->next.group.version == CGROUP_NONE) {
            stats->cpu_us = end.cpu_us;
            stats->memory_bytes = end.memory_bytes;
        }
        return;
    }
    stats->wall_us = wall_us;
    stats->signal = stats->denied_syscall != 0 ? SIGSYS : SIGKILL;
    if (slot_has_ended(stats) || stats->oom_kills > 0)
        return;
    (void)slot_refuse(reply, EIO, "the run's first process ended without a report");
}

const struct backend backend_native = {
    .setup = setup,
    .prepare = prepare,
    .reset = collect_sockets,
    .start = start,
    .end = end,
    .end_again_us = INIT_GRACE_US,
    .finish = finish,
};
