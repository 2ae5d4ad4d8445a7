/* ahead: see the header. */
#include "sandboxd/standby.h"

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

#include "base/cleanup.h"
#include "sandboxd/exec_cache.h"
#include "sandboxd/init_process.h"

bool standby_fits(const struct standby *standby, const struct standby_kind *kind)
{
    const struct standby_kind *own = &standby->kind;
    return own->image != NULL && own->image == kind->image && own->disk_bytes == kind->disk_bytes &&
           own->class == kind->class && own->denied_ends == kind->denied_ends &&
           (own->exec_cached == 0 || own->exec_cached == kind->exec_cached);
}

int standby_make(const struct standby_kind *kind, const struct cgroup_run *run, const struct seccomp_filters *filters,
                 bool stands, int network, int exec_stub, uid_t uid, int probe, struct standby *ret, struct error *err)
{
    int line[2], inner[2], report[2], notify[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "make the report pipe");
    auto_close int report_read = report[0], report_write = report[1];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "make the line of a box");
    auto_close int line_own = line[0], line_init = line[1];
    /* All here, in the slot's own network: see backend_native.c. */
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, inner) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "make the inner line of a box");
    auto_close int inner_init = inner[0], inner_program = inner[1];
    auto_close int notify_own = -1, notify_init = -1;
    if (kind->denied_ends) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, notify) < 0)
            return error_set(err, ERROR_SANDBOX, errno, "make the line for refused calls");
        notify_own = notify[0];
        notify_init = notify[1];
    }
    struct box_plan plan = {
        .run = run,
        .filter = stands ? &filters->rest[kind->class] : &filters->whole[kind->class],
        .strict_filter = &filters->strict[kind->class],
        .notify = notify_init,
        .exec_stub = exec_stub,
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
    if (kind->exec_cached != 0)
        (void)snprintf(plan.exec_cached_at, sizeof plan.exec_cached_at, "/box/%s", kind->program);
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
        init_process_main(&plan);
    if (init < 0)
        return error_set(err, ERROR_SANDBOX, errno,
                         "clone the run's first process (are user, pid, ipc and uts namespaces enabled?)");
    *ret = (struct standby){ .kind = *kind,
                             .init = init,
                             .pidfd = pidfd,
                             .line = take_fd(&line_own),
                             .report = take_fd(&report_read),
                             .notify = take_fd(&notify_own) };
    return 0;
}

void standby_drop(struct standby *standby)
{
    if (standby->kind.image == NULL)
        return;
    (void)syscall(SYS_pidfd_send_signal, standby->pidfd, SIGKILL, NULL, 0);
    while (waitpid(standby->init, NULL, 0) < 0 && errno == EINTR)
        ;
    const int own[] = { standby->pidfd, standby->line, standby->report, standby->notify };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i] >= 0)
            (void)close(own[i]);
    memset(standby, 0, sizeof *standby);
}
