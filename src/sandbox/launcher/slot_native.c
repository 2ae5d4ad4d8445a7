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
#include <unistd.h>

#include "base/scope.h"
#include "sandbox/launcher/slot_driver.h"
#include "sandbox/launcher/stage.h"

static void settle(struct slot *slot, struct error *err)
{
    (void)slot;
    if (unshare(CLONE_NEWNET) < 0)
        error_set(err, ERROR_SANDBOX, errno, "make a network namespace");
}

static void prepare(struct slot *slot)
{
    (void)slot; /* all that a run needs is made by its own first process */
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

/* Programs open their streams again by /dev/stdout and /dev/stderr, which of a pipe only its owner may. */
static void give_streams(const int fds[], uid_t uid)
{
    struct stat st;
    for (int i = SLOT_FD_STDOUT; i <= SLOT_FD_STDERR; i++)
        if (fstat(fds[i], &st) == 0 && S_ISFIFO(st.st_mode))
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
    give_streams(fds, plan.uid);
    struct clone_args args = {
        .flags = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD,
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

/* What the steps reported.  The program's end, if there is one, comes last; a step that failed before it explains it. */
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
