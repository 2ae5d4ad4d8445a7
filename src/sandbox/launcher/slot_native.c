/*
 * slot_native: runs made of fresh namespaces (see stage.h for the two processes of a run), in boxes made ahead
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

#include "base/scope.h"
#include "sandbox/launcher/ahead.h"
#include "sandbox/launcher/slot_driver.h"
#include "sandbox/launcher/stage.h"
#include "sandbox/launcher/threshold.h"
#include "sandbox/message.h"

/* How long the collector of sockets may take; it takes some ms where a run left any, and the next run waits for it. */
#define COLLECT_MS_MAX 2000u
/* Bundles up to here are unpacked before it matters to the program's clock. */
#define BUNDLE_QUICK_BYTES (1 << 20)

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
static void settle(struct slot *slot, struct error *err)
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
    shelf_init(&slot->shelf);
    slot->threshold = threshold_open();
    if (slot->threshold < 0)
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
    if (image->mount_ns < 0 && image_build(slot->settings->images_folder, image, &err) < 0)
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
    slot->limited = (struct slot_limits){ 0 };
    if (cgroup_run_open(&slot->settings->group, &slot->cgroup_runs, slot->groups++, &slot->next, err) < 0) {
        slot->next = spent;
        return -1;
    }
    slot_remove_later(slot, &spent);
    return 0;
}

static int limit_group(struct slot *slot, const struct slot_limits *limits, struct error *err)
{
    if (slot->limited.memory_bytes == limits->memory_bytes && slot->limited.processes == limits->processes)
        return 0;
    slot->limited = *limits;
    return cgroup_run_limit(&slot->next, limits, err);
}

static int make_ahead(struct slot *slot, const struct ahead_kind *kind, int probe, struct error *err)
{
    const struct slot_settings *settings = slot->settings;
    uid_t uid = settings->uid_first + (uint32_t)(slot->runs++ % SLOT_UIDS);
    if (ahead_make(kind, &slot->next, settings->filters, slot->stands, slot->network, slot->threshold, uid, probe,
                   &slot->ahead, err) < 0)
        return -1;
    slot->ahead_uid = uid;
    return 0;
}

static void drop_ahead(struct slot *slot)
{
    warm_close(&slot->warm);
    ahead_drop(&slot->ahead);
}

/* Two equal requests in a row are taken for a line of them. */
static void learn(struct slot *slot, const struct ahead_kind *kind)
{
    struct warm_kind asked;
    slot->likely = *kind;
    slot->likely_limits = slot->request.limits;
    warm_kind_of(&slot->request, &asked);
    slot->likely_warm = warm_kind_equal(&asked, &slot->last_warm);
    slot->last_warm = asked;
}

/* The program of the last requests, where it is on a shelf. */
static void offer_program(struct slot *slot, struct ahead_kind *kind)
{
    bool waits = slot->last_warm.is_set; /* for a source, then, and not for a program */
    kind->shelved = kind->image == NULL || waits ? 0 : shelf_offer(&slot->shelf, kind->image);
    kind->program = slot->shelf.name;
}

/* For another run like the last.  Without it the next one makes its box itself, and tells what is wrong. */
static void prepare(struct slot *slot)
{
    struct error ignored;
    drop_ahead(slot); /* one still stands where the request was refused */
    slot->limited = (struct slot_limits){ 0 };
    offer_program(slot, &slot->likely);
    if (slot->likely.image == NULL || limit_group(slot, &slot->likely_limits, &ignored) < 0 ||
        make_ahead(slot, &slot->likely, -1, &ignored) < 0 || !slot->likely_warm)
        return;
    bool no_cgroup = slot->next.group.version == CGROUP_NONE;
    if (warm_start(&slot->ahead, &slot->last_warm, slot->ahead_uid, no_cgroup, &slot->warm) < 0)
        drop_ahead(slot);
}

/* Now and then a box ends before it is used: a process of it was killed, or could not be made. */
static bool ahead_lives(const struct slot *slot)
{
    struct pollfd ended = { .fd = slot->ahead.pidfd, .events = POLLIN };
    return poll(&ended, 1, 0) == 0;
}

/*
 * The standing filter is for good, so it waits for what tells that this worker's runs are not strict: compiles and the
 * self-test never are.  A strict one after that would need a worker that has changed its mind; it gets a new slot.
 */
static void load_standing_filter(struct slot *slot)
{
    const struct slot_request *r = &slot->request;
    bool is_strict = (r->flags & SLOT_REFUSED_ENDS) != 0;
    if (slot->stands && is_strict) {
        dprintf(STDERR_FILENO, "evalx slot %u: asked for a strict filter after others\n", slot->settings->number);
        _exit(1);
    }
    if (!slot->stands && !is_strict && (r->flags & (SLOT_KEEP_FILES | SLOT_SELF_TEST)) == 0)
        slot->stands = seccomp_filter_load(&slot->settings->filters->standing) == 0;
}

/* Makes sure that a box for this request is there; -1 with *reply. */
static int have_box(struct slot *slot, int bundle, struct slot_reply *reply)
{
    const struct slot_request *r = &slot->request;
    struct ahead_kind kind = { .image = slot->image,
                               .disk_bytes = r->limits.disk_bytes,
                               .class = r->class,
                               .refused_ends = (r->flags & SLOT_REFUSED_ENDS) != 0 };
    bool tests_itself = (r->flags & SLOT_SELF_TEST) != 0;
    struct error err;
    load_standing_filter(slot);
    if (!(r->flags & (SLOT_KEEP_FILES | SLOT_SELF_TEST))) { /* a compile is followed by runs, not by its like */
        shelf_see(&slot->shelf, bundle);
        kind.shelved = shelf_number(&slot->shelf, slot->image);
        kind.program = slot->shelf.name;
        learn(slot, &kind);
    }
    bool fits = !slot->warm.kind.is_set ||
                (!(r->flags & SLOT_KEEP_FILES) && warm_kind_equal(&slot->warm.kind, &slot->last_warm));
    if (!tests_itself && fits && ahead_fits(&slot->ahead, &kind) && ahead_lives(slot))
        return limit_group(slot, &r->limits, &err) < 0 ? slot_refuse(reply, err.os != 0 ? err.os : EIO, err.text) : 0;
    bool was_there = slot->ahead.kind.image != NULL;
    drop_ahead(slot);
    auto_close int probe = tests_itself ? open("/proc/self/exe", O_PATH | O_CLOEXEC) : -1;
    if ((was_there && renew_group(slot, &err) < 0) || limit_group(slot, &r->limits, &err) < 0 ||
        make_ahead(slot, &kind, probe, &err) < 0)
        return slot_refuse(reply, err.os != 0 ? err.os : EIO, err.text);
    return 0;
}

/* Is there so much to unpack that the program's clock must not run meanwhile?  (1 MiB takes about 0.3 ms.) */
static bool takes_time(const struct slot *slot, const int fds[])
{
    struct stat st;
    int bundle = slot_bundle_fd(slot, fds);
    off_t there = slot->ahead.kind.shelved != 0 ? (off_t)slot->shelf.size : 0;
    return bundle >= 0 && (fstat(bundle, &st) < 0 || st.st_size - there > BUNDLE_QUICK_BYTES);
}

static int send_order(struct slot *slot, const int fds[], bool tells_start)
{
    static struct stage_order order;
    const struct slot_request *r = &slot->request;
    order.limits = r->limits;
    order.flags = r->flags | (tells_start ? STAGE_TELLS_START : 0) |
                  (slot->next.group.version == CGROUP_NONE ? STAGE_NO_CGROUP : 0);
    order.words = r->words;
    order.variables = r->variables;
    order.strings_len = r->strings_len;
    memcpy(order.strings, r->strings, r->strings_len);
    size_t fds_len = SLOT_FD_BASE_COUNT_ + ((r->flags & SLOT_HAS_BUNDLE) != 0) + ((r->flags & SLOT_KEEP_FILES) != 0);
    return message_send(slot->ahead.line, &order, STAGE_ORDER_HEAD_BYTES + order.strings_len, fds, fds_len);
}

static void end(struct watch *watch)
{
    (void)syscall(SYS_pidfd_send_signal, watch->pidfd, SIGKILL, NULL, 0);
}

static int start(struct slot *slot, const int fds[], struct watch *watch, struct slot_reply *reply)
{
    if (have_image(slot, reply) < 0 || have_box(slot, slot_bundle_fd(slot, fds), reply) < 0)
        return -1;
    struct ahead *ahead = &slot->ahead;
    give_streams(fds, ahead->report, slot->ahead_uid);
    watch->init = ahead->init;
    watch->pidfd = ahead->pidfd;
    watch->report = ahead->report;
    watch->refusals = ahead->refusals;
    watch->begun_us = slot_now_us();
    cgroup_run_begin(&slot->next); /* making its box is not its own */
    ahead->kind.image = NULL; /* it is the run's now */
    /* Where its end cannot be reached the box has ended, and its report says why. */
    watch->line = ahead->line;
    if (slot->warm.kind.is_set) {
        watch->started = true;
        int result =
            warm_feed(&slot->warm, ahead, slot->socket, &slot->request, fds[SLOT_FD_STDIN], slot_bundle_fd(slot, fds));
        warm_close(&slot->warm);
        if (result < 0)
            end(watch);
        return 0;
    }
    bool tells_start = takes_time(slot, fds);
    watch->started = !tells_start;
    (void)!send_order(slot, fds, tells_start);
    return 0;
}

/* What the steps reported.  The program's end, if there is one, comes last; a step that failed before explains it. */
static void finish(struct slot *slot, struct watch *watch, struct slot_reply *reply)
{
    if (watch->end.kind == 0) { /* it was ended, or broke: what it still said is in the pipe */
        (void)slot_reap(watch);
        while (slot_hear_report(watch))
            ;
    }
    if (watch->failure.kind != 0) {
        (void)snprintf(reply->text, sizeof reply->text, "step '%s'%s", stage_step_name(watch->failure.step),
                       stage_step_remedy(watch->failure.step, watch->failure.os));
        reply->os = watch->failure.os != 0 ? watch->failure.os : EIO;
        return;
    }
    const struct stage_report end = watch->end;
    struct slot_facts *facts = &watch->facts;
    uint64_t wall_us = slot_now_us() - watch->begun_us;
    cgroup_run_facts(&slot->next, facts);
    if (end.kind != 0) {
        facts->wall_us = end.wall_us;
        facts->exit_code = WIFEXITED(end.wait_status) ? WEXITSTATUS(end.wait_status) : 0;
        facts->signal = WIFSIGNALED(end.wait_status) ? WTERMSIG(end.wait_status) : 0;
        facts->files_kept = end.files_kept;
        if (end.pack_os != 0) {
            (void)snprintf(reply->text, sizeof reply->text, "keep the files of the box: %s", strerror(end.pack_os));
            if (end.pack_os != EFBIG && end.pack_os != ENAMETOOLONG) /* these are what the program made of its box */
                reply->os = end.pack_os;
        }
        if (slot->next.group.version == CGROUP_NONE) {
            facts->cpu_us = end.cpu_us;
            facts->memory_bytes = end.memory_bytes;
            facts->cpu_exceeded |= end.cpu_us >= slot->request.limits.cpu_us;
        }
        return;
    }
    facts->wall_us = wall_us;
    facts->signal = facts->refused_call != 0 ? SIGSYS : SIGKILL;
    if (slot_has_ended(facts) || facts->oom_kills > 0)
        return;
    (void)slot_refuse(reply, EIO, "the run's first process ended without a report");
}

const struct slot_driver slot_native = {
    .settle = settle,
    .prepare = prepare,
    .retire = collect_sockets,
    .start = start,
    .end = end,
    .end_again_us = INIT_GRACE_US,
    .finish = finish,
};
