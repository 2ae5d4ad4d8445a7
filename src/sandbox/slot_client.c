/*
 * box: the worker's half of a run: hand over the descriptors, read what the program writes, take the facts.
 *
 * The streams are pipes read here with a bound.  Beyond the bound bytes are read and dropped, so that the program
 * cannot block the way, and the slot is told to end the run.  The slot answers when nothing of the run lives any
 * more; what is then still in the pipes is read to the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/packet.h"
#include "sandbox/sandbox_internal.h"

/* How long beyond the wall limit a slot may take to answer before it counts as broken. */
#define ANSWER_GRACE_US 40000000ull
/* How long after the end of the streams it is looked for without sleeping. */
#define ANSWER_NEAR_US 100
/* What takes longer between two looks was somebody else on this processor. */
#define YIELDED_US 20

/* The descriptors of a run. */
struct descriptors {
    int input, output_read, output_write, errors_read, errors_write, keep;
};

struct sandbox_slot {
    struct sandbox *sandbox;
    uint32_t slot_number;
    int socket; /* -1: broken, to be opened again */
    uint32_t runs;
    pthread_mutex_t lock; /* guards running and sends on the socket by sandbox_cancel */
    bool running;
    struct slot_request request;
    struct slot_request kill; /* guarded by lock */
    struct descriptors next;  /* of the next run: streams, and an empty input; made while one runs; -1 where not */
};

/* One stream of the program while it is read. */
struct stream {
    int fd; /* -1 when it has ended */
    struct buf *into;
    bool cut;
};

static const struct descriptors no_descriptors = { -1, -1, -1, -1, -1, -1 };

static void descriptors_close(struct descriptors *d)
{
    const int all[] = { d->input, d->output_read, d->output_write, d->errors_read, d->errors_write, d->keep };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] >= 0)
            (void)close(all[i]);
}

int sandbox_slot_open(struct sandbox *sandbox, uint32_t slot_number, struct sandbox_slot **ret, struct error *err)
{
    struct sandbox_slot *slot = calloc(1, sizeof *slot);
    if (slot == NULL)
        return error_set(err, ERROR_SANDBOX, ENOMEM, "open box %" PRIu32, slot_number);
    if (sandbox_open_slot(sandbox, slot_number, &slot->socket, err) < 0) {
        free(slot);
        return -1;
    }
    slot->sandbox = sandbox;
    slot->slot_number = slot_number;
    slot->next = no_descriptors;
    (void)pthread_mutex_init(&slot->lock, NULL);
    *ret = slot;
    return 0;
}

void sandbox_slot_close(struct sandbox_slot *slot)
{
    if (slot == NULL)
        return;
    if (slot->socket >= 0)
        (void)close(slot->socket);
    descriptors_close(&slot->next);
    (void)pthread_mutex_destroy(&slot->lock);
    free(slot);
}

/* ---- the request ---- */

static int add_words(struct slot_request *request, char *const *words, uint32_t *ret_count, struct error *err)
{
    uint32_t count = 0;
    for (; words[count] != NULL; count++) {
        size_t len = strlen(words[count]) + 1;
        if (len > SLOT_STRINGS_BYTES - request->strings_len || request->words + count >= SLOT_WORDS_MAX)
            return error_set(err, ERROR_SANDBOX, E2BIG, "arguments and environment take more than %u bytes or %u words",
                             SLOT_STRINGS_BYTES, SLOT_WORDS_MAX);
        memcpy(request->strings + request->strings_len, words[count], len);
        request->strings_len += (uint32_t)len;
    }
    *ret_count = count;
    return 0;
}

static int fill_request(struct sandbox_slot *slot, const struct run_request *job, struct error *err)
{
    struct slot_request *request = &slot->request;
    request->op = SLOT_RUN;
    request->run = ++slot->runs;
    request->flags = (job->archive_fd >= 0 ? SLOT_HAS_ARCHIVE : 0) | (job->keep_files ? SLOT_KEEP_FILES : 0) |
                     (job->self_test                        ? SLOT_SELF_TEST
                      : slot->sandbox->denied_syscalls_kill ? SLOT_DENIED_ENDS
                                                            : 0);
    memset(request->source, 0, sizeof request->source);
    if (slot->sandbox->warm && job->prestart_source != NULL && strlen(job->prestart_source) < sizeof request->source) {
        request->flags |= SLOT_MAY_PRESTART;
        memcpy(request->source, job->prestart_source, strlen(job->prestart_source));
    }
    request->class = job->class;
    request->words = request->variables = request->strings_len = 0;
    request->limits = job->limits;
    memset(request->image, 0, sizeof request->image);
    if (snprintf(request->image, sizeof request->image, "%s", job->image) >= (int)sizeof request->image)
        return error_set(err, ERROR_SANDBOX, 0, "the name of image %s is too long", job->image);
    if (add_words(request, job->argv, &request->words, err) < 0)
        return -1;
    return add_words(request, job->env, &request->variables, err);
}

static int open_input(struct text input, int *ret_fd, struct error *err)
{
    /* Also when it is empty: the host's /dev/null is one inode for all, and a lock or a watch on it tells of others. */
    auto_close int fd = memfd_create("stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return error_set(err, ERROR_SANDBOX, errno, "memfd for the input");
    for (size_t at = 0; at < input.len;) {
        ssize_t wrote = write(fd, input.at + at, input.len - at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return error_set(err, ERROR_SANDBOX, errno, "write the input");
        at += (size_t)wrote;
    }
    if (lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "seal the input");
    *ret_fd = take_fd(&fd);
    return 0;
}

/* The read end does not block; the write end is the program's, and does. */
static int open_stream(int *ret_read, int *ret_write, struct error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "pipe for the output");
    /* Write-only for whoever opens it by its name: /dev/stdout is no way to read what was written. */
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 || fchmod(ends[1], S_IWUSR) < 0) {
        (void)close(ends[0]);
        (void)close(ends[1]);
        return error_set(err, ERROR_SANDBOX, errno, "pipe for the output");
    }
    *ret_read = ends[0];
    *ret_write = ends[1];
    return 0;
}

/* ---- while it runs ---- */

static void send_kill(struct sandbox_slot *slot, uint32_t reason)
{
    (void)pthread_mutex_lock(&slot->lock);
    if (slot->running) {
        slot->kill.op = SLOT_KILL;
        slot->kill.run = slot->request.run;
        slot->kill.reason = reason;
        (void)packet_send(slot->socket, &slot->kill, SLOT_REQUEST_SHORT_BYTES, NULL,
                          0); /* gone: sandbox_run sees it too */
    }
    (void)pthread_mutex_unlock(&slot->lock);
}

static void set_running(struct sandbox_slot *slot, bool running)
{
    (void)pthread_mutex_lock(&slot->lock);
    slot->running = running;
    (void)pthread_mutex_unlock(&slot->lock);
}

void sandbox_cancel(struct sandbox_slot *slot)
{
    send_kill(slot, SLOT_KILL_CANCEL);
}

/* Reads what is there.  Returns true, and may leave some, when bytes had to be dropped for the first time. */
static bool read_stream(struct stream *stream)
{
    static _Thread_local char bytes[65536];
    for (;;) {
        ssize_t got = read(stream->fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return false;
        if (got <= 0) {
            cleanup_close(&stream->fd);
            stream->fd = -1;
            return false;
        }
        size_t room = stream->into->max - stream->into->len;
        size_t kept = (size_t)got < room ? (size_t)got : room;
        struct error ignored; /* no memory: the rest is dropped, and the cut is told */
        if (kept > 0 && buf_append(stream->into, bytes, kept, &ignored) < 0)
            kept = 0;
        if (kept < (size_t)got && !stream->cut) {
            stream->cut = true;
            return true; /* at once: a fast writer may never leave the pipe empty */
        }
    }
}

/*
 * What is left in a pipe when nothing of the run lives.  Its end is not waited for: a descriptor that was sent over a
 * socket nobody can receive from any more keeps the pipe open until the kernel collects such sockets, which may take
 * long.
 */
static void drain(struct stream *stream)
{
    while (stream->fd >= 0 && read_stream(stream))
        ;
    cleanup_close(&stream->fd);
    stream->fd = -1;
}

/* A program that had started before its request came has streams of its own; true where these are they. */
static bool take_streams(struct stream streams[2], const struct slot_reply *reply, const int ends[2], size_t ends_len)
{
    bool wanted = reply->op == SLOT_STREAMS && ends_len == 2;
    for (size_t i = 0; i < ends_len; i++) {
        int unwanted = wanted ? streams[i].fd : ends[i];
        cleanup_close(&unwanted);
        if (wanted)
            streams[i].fd = ends[i];
    }
    return wanted;
}

/*
 * poll(2).  Where the program has closed its streams it has most likely ended, and the answer is some fifty
 * microseconds away: to sleep for so short a time, and on an idle machine to wake a processor of its sleep, takes
 * longer than to ask again.  The processor is left to whoever wants it; where somebody does, sleeping is as good.
 */
static int await_any(struct pollfd *polled, nfds_t len, int wait_ms, bool is_ending)
{
    uint64_t begun = clock_mono_us(), now = begun;
    for (bool alone = is_ending; alone && now - begun < ANSWER_NEAR_US;) {
        int ready = poll(polled, len, 0);
        if (ready != 0)
            return ready;
        (void)sched_yield();
        uint64_t before = now;
        now = clock_mono_us();
        alone = now - before < YIELDED_US;
    }
    return poll(polled, len, wait_ms);
}

/* Until the slot has answered; then the streams have ended. */
static int follow(struct sandbox_slot *slot, struct stream streams[2], struct slot_reply *reply, bool *ret_warm,
                  struct error *err)
{
    uint64_t deadline = clock_mono_us() + slot->request.limits.wall_us + ANSWER_GRACE_US;
    for (bool answered = false; !answered;) {
        struct pollfd polled[3] = {
            { .fd = streams[0].fd, .events = POLLIN },
            { .fd = streams[1].fd, .events = POLLIN },
            { .fd = slot->socket, .events = POLLIN },
        };
        uint64_t now = clock_mono_us();
        if (now >= deadline)
            return error_set(err, ERROR_SANDBOX, ETIMEDOUT, "slot %" PRIu32 " does not answer", slot->slot_number);
        bool is_ending = streams[0].fd < 0 && streams[1].fd < 0;
        if (await_any(polled, 3, (int)((deadline - now) / 1000) + 1, is_ending) < 0 && errno != EINTR)
            return error_set(err, ERROR_SANDBOX, errno, "poll");
        for (int i = 0; i < 2; i++)
            if (polled[i].revents != 0 && read_stream(&streams[i]))
                send_kill(slot, SLOT_KILL_OUTPUT);
        if (polled[2].revents == 0)
            continue;
        int ends[2];
        size_t ends_len = 0;
        int got = packet_receive(slot->socket, reply, sizeof *reply, ends, 2, &ends_len, 0);
        if (got <= 0)
            return error_set(err, ERROR_SANDBOX, got < 0 ? errno : 0, "slot %" PRIu32 " has ended", slot->slot_number);
        *ret_warm |= take_streams(streams, reply, ends, ends_len);
        answered = reply->op == SLOT_DONE && reply->run == slot->request.run;
    }
    set_running(slot, false);
    drain(&streams[0]);
    drain(&streams[1]);
    return 0;
}

/* ---- the end ---- */

static void take_facts(const struct sandbox_slot *slot, const struct slot_reply *reply, struct run_outcome *outcome)
{
    outcome->stats = reply->stats;
    outcome->stats.output_exceeded = outcome->output_cut || outcome->errors_cut;
    run_stats_compare(&outcome->stats, &slot->request.limits);
    struct error ignored;
    if (reply->exec_os != 0)
        (void)buf_printf(&outcome->errors, &ignored, "evalx: cannot execute %s: %s\n", slot->request.strings,
                         strerror(reply->exec_os));
    if (reply->stats.denied_syscall != 0) {
        auto_free char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)reply->stats.denied_syscall - 1);
        (void)buf_printf(&outcome->errors, &ignored, "evalx: %s: a system call that programs may not make\n",
                         name != NULL ? name : "unknown");
    }
    if (reply->text[0] != '\0')
        (void)buf_printf(&outcome->errors, &ignored, "evalx: %.*s\n", (int)sizeof reply->text - 1, reply->text);
}

/* Opens the slot again, so that the next run finds a whole one.  Failing is not final: the next run tries too. */
static void repair(struct sandbox_slot *slot)
{
    struct error ignored; /* the run's own error is what the caller hears */
    int fresh = -1;
    int result = sandbox_open_slot(slot->sandbox, slot->slot_number, &fresh, &ignored);
    (void)pthread_mutex_lock(&slot->lock);
    if (slot->socket >= 0)
        (void)close(slot->socket);
    slot->socket = result < 0 ? -1 : fresh;
    slot->running = false;
    (void)pthread_mutex_unlock(&slot->lock);
}

/* What every run needs, whatever it is; so it can be made ahead, and what is missing then is made when it is needed. */
static int descriptors_prepare(struct descriptors *d, struct error *err)
{
    if (d->input < 0 && open_input((struct text){ 0 }, &d->input, err) < 0)
        return -1;
    if (d->output_read < 0 && open_stream(&d->output_read, &d->output_write, err) < 0)
        return -1;
    return d->errors_read < 0 ? open_stream(&d->errors_read, &d->errors_write, err) : 0;
}

static int descriptors_open(struct sandbox_slot *slot, struct descriptors *d, const struct run_request *job,
                            struct error *err)
{
    *d = slot->next;
    slot->next = no_descriptors;
    if (descriptors_prepare(d, err) < 0)
        return -1;
    if (job->input.len > 0) {
        (void)close(d->input);
        d->input = -1;
        if (open_input(job->input, &d->input, err) < 0)
            return -1;
    }
    if (job->keep_files) {
        d->keep = memfd_create("kept", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (d->keep < 0)
            return error_set(err, ERROR_SANDBOX, errno, "memfd for the files of the box");
    }
    return 0;
}

static int hand_over(struct sandbox_slot *slot, const struct run_request *job, const struct descriptors *d,
                     struct error *err)
{
    int fds[SLOT_FDS_MAX] = { d->input, d->output_write, d->errors_write };
    size_t len = SLOT_FD_BASE_COUNT_;
    if (job->archive_fd >= 0)
        fds[len++] = job->archive_fd;
    if (job->keep_files)
        fds[len++] = d->keep;
    (void)pthread_mutex_lock(&slot->lock);
    int result = packet_send(slot->socket, &slot->request, slot_request_size(&slot->request), fds, len);
    int os = errno;
    slot->running = result == 0;
    (void)pthread_mutex_unlock(&slot->lock);
    return result == 0 ? 0 : error_set(err, ERROR_SANDBOX, os, "slot %" PRIu32 " has ended", slot->slot_number);
}

int sandbox_run(struct sandbox_slot *slot, const struct run_request *job, struct run_outcome *ret, struct error *err)
{
    if (slot->socket < 0 && sandbox_open_slot(slot->sandbox, slot->slot_number, &slot->socket, err) < 0)
        return -1;
    if (fill_request(slot, job, err) < 0)
        return -1;
    struct run_outcome outcome = { .archive_fd = -1 };
    buf_init(&outcome.output, job->limits.output_bytes);
    buf_init(&outcome.errors, job->limits.output_bytes);
    struct descriptors d = no_descriptors;
    struct slot_reply reply = { 0 };
    int result = descriptors_open(slot, &d, job, err);
    bool handed_over = false;
    if (result == 0) {
        result = hand_over(slot, job, &d, err);
        handed_over = true;
    }
    if (result == 0) {
        (void)close(d.output_write);
        (void)close(d.errors_write);
        struct stream streams[2] = { { take_fd(&d.output_read), &outcome.output, false },
                                     { take_fd(&d.errors_read), &outcome.errors, false } };
        d.output_write = d.errors_write = -1;
        struct error later; /* the next run tries again, and tells */
        (void)descriptors_prepare(&slot->next, &later);
        result = follow(slot, streams, &reply, &outcome.was_prestarted, err);
        outcome.output_cut = streams[0].cut;
        outcome.errors_cut = streams[1].cut;
        for (int i = 0; i < 2; i++)
            if (streams[i].fd >= 0)
                (void)close(streams[i].fd);
    }
    if (result < 0 && handed_over)
        repair(slot);
    reply.text[sizeof reply.text - 1] = '\0';
    if (result == 0 && reply.os != 0)
        result = error_set(err, ERROR_SANDBOX, reply.os, "%s", reply.text);
    if (result == 0) {
        take_facts(slot, &reply, &outcome);
        if (reply.files_kept)
            outcome.archive_fd = take_fd(&d.keep);
        *ret = outcome;
    } else {
        run_outcome_done(&outcome);
    }
    descriptors_close(&d);
    return result;
}

void run_outcome_done(struct run_outcome *outcome)
{
    buf_done(&outcome->output);
    buf_done(&outcome->errors);
    if (outcome->archive_fd >= 0)
        (void)close(outcome->archive_fd);
    outcome->archive_fd = -1;
}
