/*
 * slot_native: runs made of fresh namespaces (see stage.h for the two processes of a run).
 *
 * The run's first process is init, pid 1 of the box: when it ends, however it ends, the kernel kills and reaps all
 * that is left in the pid namespace before its parent hears of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/scope.h"
#include "sandbox/launcher/slot_driver.h"
#include "sandbox/launcher/stage.h"

/* How long the collector of sockets may take; it takes some ms where a run left any, and the next run waits for it. */
#define COLLECT_MS_MAX 2000u

static void settle(struct slot *slot, struct error *err)
{
    (void)slot;
    if (unshare(CLONE_NEWNET) < 0)
        error_set(err, ERROR_SANDBOX, errno, "make a network namespace");
}

/* Are there local sockets in the slot's network?  Its own, and the root side's, are of the host's. */
static bool has_sockets(void)
{
    char list[512];
    auto_close int fd = open("/proc/self/net/unix", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, list, sizeof list);
    const char *end = got <= 0 ? NULL : memchr(list, '\n', (size_t)got); /* of the heading */
    return end != NULL && end + 1 < list + got;
}

/*
 * Sockets that were sent over each other, and that nobody can receive any more, outlive their processes until the
 * kernel collects them; with them the names they hold in the slot's network, which the next run would find, and
 * whatever else was sent along: memory that no group is charged for any more.  Closing any socket starts the collector.
 */
static void collect_sockets(const struct slot *slot)
{
    for (unsigned waited_ms = 0; has_sockets(); waited_ms++) {
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

/* All that a run needs is made by its own first process. */
static void prepare(struct slot *slot)
{
    collect_sockets(slot);
}

/* The slot's own assembly of the image, made at its first use. */
static int have_image(struct slot *slot, struct slot_reply *reply)
{
    struct image *image = slot->image;
    struct error err;
    if (image->mount_ns < 0 && image_build(slot->settings->images_folder, image->name, &image->mount_ns, &err) < 0)
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

static int start(struct slot *slot, const int fds[], struct watch *watch, struct slot_reply *reply)
{
    const struct slot_settings *settings = slot->settings;
    const struct slot_request *r = &slot->request;
    struct error err;
    if (have_image(slot, reply) < 0)
        return -1;
    if (cgroup_run_limit(&slot->next, &r->limits, &err) < 0)
        return slot_refuse(reply, err.os != 0 ? err.os : EIO, err.text);

    int pipe_ends[2], refusals[2] = { -1, -1 };
    if (pipe2(pipe_ends, O_CLOEXEC) < 0)
        return slot_refuse(reply, errno, "make the report pipe");
    watch->report = pipe_ends[0];
    if ((r->flags & SLOT_REFUSED_ENDS) && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, refusals) < 0) {
        (void)close(pipe_ends[1]);
        return slot_refuse(reply, errno, "make the line for refused calls");
    }
    watch->refusals = refusals[0];
    auto_close int probe = (r->flags & SLOT_SELF_TEST) ? open("/proc/self/exe", O_PATH | O_CLOEXEC) : -1;
    struct stage_plan plan = {
        .argv = slot->words,
        .env = slot->words + r->words + 1,
        .limits = &r->limits,
        .run = &slot->next,
        .filter = &settings->filters->programs[r->class],
        .strict_filter = &settings->filters->strict[r->class],
        .refusals = refusals[1],
        .probe = probe,
        .mount_ns = slot->image->mount_ns,
        .stdio = { fds[SLOT_FD_STDIN], fds[SLOT_FD_STDOUT], fds[SLOT_FD_STDERR] },
        .bundle = slot_bundle_fd(slot, fds),
        .keep = slot_keep_fd(slot, fds),
        .report = pipe_ends[1],
        .uid = settings->uid_first + (uint32_t)(slot->runs++ % SLOT_UIDS),
    };
    give_streams(fds, plan.report, plan.uid);
    /* CLEAR_SIGHAND: a signal init has no handler for cannot be sent from inside; one it has (a sanitizer's) can. */
    struct clone_args args = {
        .flags = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)&watch->pidfd,
        .exit_signal = SIGCHLD,
    };
    watch->begun_us = slot_now_us();
    watch->init = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (watch->init == 0)
        stage_init(&plan);
    (void)close(pipe_ends[1]);
    if (refusals[1] >= 0)
        (void)close(refusals[1]);
    if (watch->init < 0)
        return slot_refuse(reply, errno,
                           "clone the run's first process (are user, pid, ipc and uts namespaces enabled?)");
    return 0;
}

static void end(struct watch *watch)
{
    (void)syscall(SYS_pidfd_send_signal, watch->pidfd, SIGKILL, NULL, 0);
}

/* What the steps reported.  The program's end, if there is one, comes last; a step that failed before explains it. */
static void finish(struct slot *slot, struct watch *watch, struct slot_reply *reply)
{
    (void)slot_reap(watch);
    while (slot_hear_report(watch))
        ;
    if (watch->failure.kind != 0) {
        (void)snprintf(reply->text, sizeof reply->text, "step '%s'", stage_step_name(watch->failure.step));
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
    .start = start,
    .end = end,
    .end_again_us = INIT_GRACE_US,
    .finish = finish,
};
