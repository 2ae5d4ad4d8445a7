/*
 * slot_client: the client's side of a run.  It sends the request with its descriptors, reads what the program writes
 * and takes the statistics.
 *
 * The program's stdout and stderr are pipes.  Bytes beyond the output limit are read and dropped, so the program never
 * blocks on a full pipe, and the slot is asked to end the run.  The slot replies when no process of the run is left;
 * whatever is in the pipes then is read to the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/packet.h"
#include "base/sync.h"
#include "sandbox/sandbox_internal.h"

/* A slot that has not replied so long after the wall limit counts as broken. */
#define REPLY_GRACE_US 40000000ull
#define EXPLANATION_BYTES 128
/* For how long the reply is polled without sleeping when the streams have ended. */
#define SPIN_US 100
/* A sched_yield that took longer let another thread run: the processor is not idle. */
#define YIELDED_US 20

/* The descriptors of a run; -1 where there is none.  Index 0 is stdout, 1 is stderr. */
struct run_fds {
    int input, keep;
    int read_end[2], write_end[2];
};

struct sandbox_slot {
    struct sandbox *sandbox;
    uint32_t slot_number;
    int socket; /* -1: broken, to be opened again */
    uint32_t runs;
    pthread_mutex_t lock; /* guards is_running and kill, and sends on the socket */
    bool is_running;
    struct slot_request request;
    struct slot_request kill;
    struct run_fds next; /* for the next run: streams and an empty input, made while a run is going on */
};

static const struct run_fds no_fds = { -1, -1, { -1, -1 }, { -1, -1 } };

static void close_now(int *fd)
{
    cleanup_close(fd);
    *fd = -1;
}

static void run_fds_close(struct run_fds *fds)
{
    int *const all[] = { &fds->input,       &fds->keep,         &fds->read_end[0],
                         &fds->read_end[1], &fds->write_end[0], &fds->write_end[1] };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        close_now(all[i]);
}

int sandbox_slot_open(struct sandbox *sandbox, uint32_t slot_number, struct sandbox_slot **ret, struct error *err)
{
    struct sandbox_slot *slot = calloc(1, sizeof *slot);
    if (slot == NULL)
        return error_set(err, ERROR_SANDBOX, ENOMEM, "open slot %" PRIu32, slot_number);
    if (sandbox_request_slot(sandbox, slot_number, &slot->socket, err) < 0) {
        free(slot);
        return -1;
    }
    slot->sandbox = sandbox;
    slot->slot_number = slot_number;
    slot->next = no_fds;
    mutex_init(&slot->lock);
    *ret = slot;
    return 0;
}

void sandbox_slot_close(struct sandbox_slot *slot)
{
    if (slot == NULL)
        return;
    close_now(&slot->socket);
    run_fds_close(&slot->next);
    (void)pthread_mutex_destroy(&slot->lock);
    free(slot);
}

/* Replaces a broken slot for the next run.  If this fails, the next run tries again and reports the error. */
static void reopen(struct sandbox_slot *slot)
{
    struct error ignored;
    int fresh = -1;
    if (sandbox_request_slot(slot->sandbox, slot->slot_number, &fresh, &ignored) < 0)
        fresh = -1;
    lock_guard(&slot->lock);
    cleanup_close(&slot->socket);
    slot->socket = fresh;
    slot->is_running = false;
}

static void send_kill(struct sandbox_slot *slot, uint32_t reason)
{
    lock_guard(&slot->lock);
    if (!slot->is_running)
        return;
    slot->kill.op = SLOT_KILL;
    slot->kill.run = slot->request.run;
    slot->kill.reason = reason;
    /* If the slot is gone, sandbox_run notices it, too. */
    (void)packet_send(slot->socket, &slot->kill, SLOT_REQUEST_SHORT_BYTES, NULL, 0);
}

void sandbox_cancel(struct sandbox_slot *slot)
{
    send_kill(slot, SLOT_KILL_CANCEL);
}

/* ---- before a run ---- */

static int add_words(struct slot_request *to, char *const *words, uint32_t *ret_count, struct error *err)
{
    uint32_t count = 0;
    for (; words[count] != NULL; count++) {
        size_t len = strlen(words[count]) + 1;
        if (len > SLOT_STRINGS_BYTES - to->strings_len || to->words + count >= SLOT_WORDS_MAX)
            return error_set(err, ERROR_REQUEST, 0, "arguments and environment take more than %u bytes or %u words",
                             SLOT_STRINGS_BYTES, SLOT_WORDS_MAX);
        memcpy(to->strings + to->strings_len, words[count], len);
        to->strings_len += (uint32_t)len;
    }
    *ret_count = count;
    return 0;
}

static int fill_request(struct sandbox_slot *slot, const struct run_request *from, struct error *err)
{
    const struct sandbox *sandbox = slot->sandbox;
    struct slot_request *to = &slot->request;

    memset(to, 0, offsetof(struct slot_request, strings));
    to->op = SLOT_RUN;
    to->run = ++slot->runs;
    to->class = from->class;
    to->limits = from->limits;
    to->keep_bytes_max = from->keep_bytes_max > 0 ? from->keep_bytes_max : from->limits.disk_bytes;
    if (from->archive_fd >= 0)
        to->flags |= SLOT_HAS_ARCHIVE;
    if (from->keep_files)
        to->flags |= SLOT_KEEP_FILES;
    if (from->network == RUN_NETWORK_LOOPBACK)
        to->flags |= SLOT_LOOPBACK;
    if (from->self_test)
        to->flags |= SLOT_SELF_TEST; /* the probe makes denied calls and must live on */
    else if (sandbox->denied_syscalls_kill)
        to->flags |= SLOT_DENIED_SYSCALLS_KILL;
    if (sandbox->prestart && from->prestart_source != NULL && strlen(from->prestart_source) < sizeof to->source) {
        to->flags |= SLOT_MAY_PRESTART;
        memcpy(to->source, from->prestart_source, strlen(from->prestart_source));
    }
    if (snprintf(to->image, sizeof to->image, "%s", from->image) >= (int)sizeof to->image)
        return error_set(err, ERROR_SANDBOX, 0, "image name %s is too long", from->image);
    if (add_words(to, from->argv, &to->words, err) < 0)
        return -1;
    return add_words(to, from->env, &to->variables, err);
}

/* Also for an empty input: the host's /dev/null is one inode for all boxes, where locks and watches show other runs. */
static int open_input(struct text input, int *ret_fd, struct error *err)
{
    auto_close int fd = memfd_create("stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return error_set(err, ERROR_SANDBOX, errno, "create a memfd for stdin");
    for (size_t at = 0; at < input.len;) {
        ssize_t wrote = write(fd, input.at + at, input.len - at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return error_set(err, ERROR_SANDBOX, errno, "write stdin");
        at += (size_t)wrote;
    }
    if (lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "seal stdin");
    *ret_fd = take_fd(&fd);
    return 0;
}

/* The descriptors that every run needs, unless they are there already. */
static int run_fds_prepare(struct run_fds *fds, struct error *err)
{
    if (fds->input < 0 && open_input((struct text){ 0 }, &fds->input, err) < 0)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        int ends[2];
        if (fds->read_end[i] >= 0)
            continue;
        if (pipe2(ends, O_CLOEXEC) < 0)
            return error_set(err, ERROR_SANDBOX, errno, "pipe for the output");
        auto_close int read_end = ends[0], write_end = ends[1];
        /* Write-only also for the program that opens /dev/stdout: it must not read what others wrote. */
        if (fcntl(read_end, F_SETFL, O_NONBLOCK) < 0 || fchmod(write_end, S_IWUSR) < 0)
            return error_set(err, ERROR_SANDBOX, errno, "pipe for the output");
        fds->read_end[i] = take_fd(&read_end);
        fds->write_end[i] = take_fd(&write_end);
    }
    return 0;
}

/* Takes the prepared descriptors, and opens those that this request needs besides. */
static int run_fds_open(struct run_fds *fds, struct sandbox_slot *slot, const struct run_request *request,
                        struct error *err)
{
    *fds = slot->next;
    slot->next = no_fds;
    if (request->input.len > 0) {
        close_now(&fds->input);
        if (open_input(request->input, &fds->input, err) < 0)
            return -1;
    }
    if (request->keep_files) {
        fds->keep = memfd_create("kept", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fds->keep < 0)
            return error_set(err, ERROR_SANDBOX, errno, "create a memfd for the files of the box");
    }
    return run_fds_prepare(fds, err);
}

static int send_run(struct sandbox_slot *slot, const struct run_request *request, const struct run_fds *fds,
                    struct error *err)
{
    int sent[SLOT_FDS_MAX] = { fds->input, fds->write_end[0], fds->write_end[1] };
    size_t len = SLOT_FD_BASE_COUNT_;
    if (request->archive_fd >= 0)
        sent[len++] = request->archive_fd;
    if (request->keep_files)
        sent[len++] = fds->keep;
    lock_guard(&slot->lock);
    if (packet_send(slot->socket, &slot->request, slot_request_size(&slot->request), sent, len) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "slot %" PRIu32 " has ended", slot->slot_number);
    slot->is_running = true;
    return 0;
}

/* ---- during a run ---- */

/*
 * Reads a stream until it is empty, and closes it at its end.  Returns true when the first bytes had to be dropped,
 * possibly with more to read: at once, because a fast writer may never leave the pipe empty.
 */
static bool read_stream(int *fd, struct buf *into, bool *cut, bool *no_memory)
{
    static _Thread_local char bytes[65536];
    for (;;) {
        ssize_t got = read(*fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return false;
        if (got <= 0) {
            close_now(fd);
            return false;
        }
        size_t room = into->max - into->len;
        size_t kept = (size_t)got < room ? (size_t)got : room;
        struct error ignored;
        /* There is room, so only memory can be short.  Then the run is cut off, and is no result. */
        if (kept > 0 && buf_append(into, bytes, kept, &ignored) < 0) {
            *no_memory = true;
            kept = 0;
        }
        if (kept < (size_t)got && !*cut) {
            *cut = true;
            return true;
        }
    }
}

/*
 * poll(2) that spins shortly if `is_ending`.  When the program has closed its streams, it has most likely ended, and
 * the reply is some fifty microseconds away.  Sleeping for so short a time, and waking an idle processor, would take
 * longer.  The spin yields the processor and stops when another thread wants it.
 */
static int poll_slot(struct pollfd *polled, nfds_t len, int wait_ms, bool is_ending)
{
    uint64_t begun = clock_mono_us(), now = begun;
    for (bool is_idle = is_ending; is_idle && now - begun < SPIN_US;) {
        int ready = poll(polled, len, 0);
        if (ready != 0)
            return ready;
        (void)sched_yield();
        uint64_t before = now;
        now = clock_mono_us();
        is_idle = now - before < YIELDED_US;
    }
    return poll(polled, len, wait_ms);
}

/*
 * Receives one message from the slot.  A prestarted program writes to pipes that were made before its request:
 * SLOT_STREAMS brings their read ends, which replace those in `fds`.
 */
static int receive_message(struct sandbox_slot *slot, struct run_fds *fds, struct slot_reply *reply,
                           bool *ret_prestarted, struct error *err)
{
    int ends[2];
    size_t ends_len = 0;
    int got = packet_receive(slot->socket, reply, sizeof *reply, ends, 2, &ends_len, 0);
    if (got <= 0)
        return error_set(err, ERROR_SANDBOX, got < 0 ? errno : 0, "slot %" PRIu32 " has ended", slot->slot_number);
    reply->text[sizeof reply->text - 1] = '\0';
    bool are_streams = reply->op == SLOT_STREAMS && ends_len == 2;
    *ret_prestarted |= are_streams;
    for (size_t i = 0; i < ends_len; i++) {
        if (are_streams) {
            cleanup_close(&fds->read_end[i]);
            fds->read_end[i] = ends[i];
        } else {
            (void)close(ends[i]);
        }
    }
    return 0;
}

/* ---- after a run ---- */

/* Names the system call that ended the run. */
static void describe_denied(const struct run_stats *stats, struct buf *to)
{
    struct error ignored;
    bool is_x32 = stats->denied_is_foreign && stats->denied_arch == seccomp_arch_native();
    auto_free char *name =
        seccomp_syscall_resolve_num_arch(is_x32 ? SCMP_ARCH_X32 : stats->denied_arch, (int)(stats->denied_syscall - 1));
    (void)buf_printf(to, &ignored, "%s: %s", name != NULL ? name : "an unknown system call",
                     stats->denied_is_foreign ? "32-bit system calls are not available"
                                              : "a system call that programs may not make");
}

/* Takes the statistics, and adds to stderr what the sandbox has to say to the program's author. */
static void take_stats(const struct sandbox_slot *slot, const struct slot_reply *reply, struct run_outcome *outcome)
{
    struct error ignored; /* no memory or no room: the statistics say the same */

    outcome->stats = reply->stats;
    outcome->stats.output_exceeded = outcome->output_cut || outcome->errors_cut;
    if (reply->exec_os != 0)
        (void)buf_printf(&outcome->errors, &ignored, "evalx: cannot execute %s: %s\n", slot->request.strings,
                         strerror(reply->exec_os));
    if (reply->stats.denied_syscall != 0) {
        describe_denied(&reply->stats, &outcome->explanation);
        (void)buf_printf(&outcome->errors, &ignored, "evalx: %.*s\n", (int)outcome->explanation.len,
                         outcome->explanation.at);
    } else if (reply->stats.signal == SIGSYS && sandbox_is_native(slot->sandbox)) {
        (void)buf_append_text(&outcome->explanation,
                              TEXT("the program raised SIGSYS itself; no system call was refused"), &ignored);
    }
    if (reply->text[0] != '\0')
        (void)buf_printf(&outcome->errors, &ignored, "evalx: %s\n", reply->text);
}

int sandbox_run(struct sandbox_slot *slot, const struct run_request *request, struct run_outcome *ret,
                struct error *err)
{
    __attribute__((cleanup(run_fds_close))) struct run_fds fds = no_fds;
    struct run_outcome outcome = { .archive_fd = -1 };
    struct buf *const into[2] = { &outcome.output, &outcome.errors };
    bool *const cut[2] = { &outcome.output_cut, &outcome.errors_cut };
    struct slot_reply reply = { 0 };
    struct error ignored;
    bool no_memory = false;

    /* The request and its descriptors. */
    buf_init(&outcome.output, request->limits.output_bytes);
    buf_init(&outcome.errors, request->limits.output_bytes);
    buf_init(&outcome.explanation, EXPLANATION_BYTES);
    if (slot->socket < 0 && sandbox_request_slot(slot->sandbox, slot->slot_number, &slot->socket, err) < 0)
        goto failed;
    if (fill_request(slot, request, err) < 0 || run_fds_open(&fds, slot, request, err) < 0)
        goto failed;
    if (send_run(slot, request, &fds, err) < 0)
        goto broken;
    close_now(&fds.write_end[0]);
    close_now(&fds.write_end[1]);
    (void)run_fds_prepare(&slot->next, &ignored); /* if this fails, the next run tries again and reports the error */

    /* Read the streams until the slot replies. */
    uint64_t deadline_us = clock_mono_us() + request->limits.wall_us * RUN_WALL_STRETCH + REPLY_GRACE_US;
    while (reply.op != SLOT_DONE || reply.run != slot->request.run) {
        struct pollfd polled[3] = {
            { .fd = fds.read_end[0], .events = POLLIN },
            { .fd = fds.read_end[1], .events = POLLIN },
            { .fd = slot->socket, .events = POLLIN },
        };
        uint64_t now_us = clock_mono_us();
        bool is_ending = fds.read_end[0] < 0 && fds.read_end[1] < 0;
        if (now_us >= deadline_us) {
            (void)error_set(err, ERROR_SANDBOX, ETIMEDOUT, "slot %" PRIu32 " does not answer", slot->slot_number);
            goto broken;
        }
        if (poll_slot(polled, 3, (int)((deadline_us - now_us) / 1000) + 1, is_ending) < 0 && errno != EINTR) {
            (void)error_set(err, ERROR_SANDBOX, errno, "poll");
            goto broken;
        }
        for (size_t i = 0; i < 2; i++)
            if (polled[i].revents != 0 && read_stream(&fds.read_end[i], into[i], cut[i], &no_memory))
                send_kill(slot, SLOT_KILL_OUTPUT);
        if (polled[2].revents != 0 && receive_message(slot, &fds, &reply, &outcome.was_prestarted, err) < 0)
            goto broken;
    }
    mutex_lock(&slot->lock);
    slot->is_running = false;
    mutex_unlock(&slot->lock);

    /*
     * Nothing of the run is left: take what is still in the pipes.  Their end is not awaited.  A descriptor that was
     * sent over a socket nobody can receive from keeps a pipe open until the kernel collects the socket.
     */
    for (size_t i = 0; i < 2; i++)
        while (fds.read_end[i] >= 0 && read_stream(&fds.read_end[i], into[i], cut[i], &no_memory))
            ;
    if (reply.os != 0 || no_memory) {
        (void)error_set(err, ERROR_SANDBOX, reply.os != 0 ? reply.os : ENOMEM, "%s",
                        reply.os != 0 ? reply.text : "keep the output");
        goto failed;
    }
    take_stats(slot, &reply, &outcome);
    if (reply.files_kept)
        outcome.archive_fd = take_fd(&fds.keep);
    *ret = outcome;
    return 0;

broken:
    reopen(slot);
failed:
    run_outcome_done(&outcome);
    return -1;
}

void run_outcome_done(struct run_outcome *outcome)
{
    buf_done(&outcome->output);
    buf_done(&outcome->errors);
    buf_done(&outcome->explanation);
    close_now(&outcome->archive_fd);
}
