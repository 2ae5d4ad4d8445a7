/* ahead: see the header. */
#include "sandbox/launcher/ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/scope.h"
#include "sandbox/launcher/shelf.h"
#include "sandbox/launcher/stage.h"

bool ahead_fits(const struct ahead *ahead, const struct ahead_kind *kind)
{
    const struct ahead_kind *own = &ahead->kind;
    return own->image != NULL && own->image == kind->image && own->disk_bytes == kind->disk_bytes &&
           own->class == kind->class && own->refused_ends == kind->refused_ends &&
           (own->shelved == 0 || own->shelved == kind->shelved);
}

int ahead_make(const struct ahead_kind *kind, const struct cgroup_run *run, const struct seccomp_filters *filters,
               bool stands, int network, int threshold, uid_t uid, int probe, struct ahead *ret, struct error *err)
{
    int line[2], inner[2], report[2], refusals[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "make the report pipe");
    auto_close int report_read = report[0], report_write = report[1];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "make the line of a box");
    auto_close int line_own = line[0], line_init = line[1];
    /* All here, in the slot's own network: see slot_native.c. */
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, inner) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "make the inner line of a box");
    auto_close int inner_init = inner[0], inner_program = inner[1];
    auto_close int refusals_own = -1, refusals_init = -1;
    if (kind->refused_ends) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, refusals) < 0)
            return error_set(err, ERROR_SANDBOX, errno, "make the line for refused calls");
        refusals_own = refusals[0];
        refusals_init = refusals[1];
    }
    struct stage_plan plan = {
        .run = run,
        .filter = stands ? &filters->rest[kind->class] : &filters->whole[kind->class],
        .strict_filter = &filters->strict[kind->class],
        .refusals = refusals_init,
        .threshold = threshold,
        .probe = probe,
        .mount_ns = kind->image->mount_ns,
        .network = network,
        .line = line_init,
        .inner = { inner_init, inner_program },
        .report = report_write,
        .uid = uid,
    };
    (void)snprintf(plan.box_options, sizeof plan.box_options, "mode=0700,size=%" PRIu64 ",nr_inodes=%d",
                   kind->disk_bytes, BOX_INODES);
    (void)snprintf(plan.id_map, sizeof plan.id_map, "%d %u 1", UID_INSIDE, (unsigned)uid);
    if (kind->shelved != 0)
        (void)snprintf(plan.shelved_at, sizeof plan.shelved_at, "/box/%s", kind->program);
    int pidfd = -1;
    /* CLEAR_SIGHAND: a signal init has no handler for cannot be sent to it from inside; one it has (a sanitizer's)
     * can. */
    struct clone_args args = {
        .flags = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
    };
    pid_t init = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (init == 0)
        stage_init(&plan);
    if (init < 0)
        return error_set(err, ERROR_SANDBOX, errno,
                         "clone the run's first process (are user, pid, ipc and uts namespaces enabled?)");
    *ret = (struct ahead){ .kind = *kind,
                           .init = init,
                           .pidfd = pidfd,
                           .line = take_fd(&line_own),
                           .report = take_fd(&report_read),
                           .refusals = take_fd(&refusals_own) };
    return 0;
}

void ahead_drop(struct ahead *ahead)
{
    if (ahead->kind.image == NULL)
        return;
    (void)syscall(SYS_pidfd_send_signal, ahead->pidfd, SIGKILL, NULL, 0);
    while (waitpid(ahead->init, NULL, 0) < 0 && errno == EINTR)
        ;
    const int own[] = { ahead->pidfd, ahead->line, ahead->report, ahead->refusals };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i] >= 0)
            (void)close(own[i]);
    memset(ahead, 0, sizeof *ahead);
}
