/* standby: see the header. */
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

bool standby_fits(const struct standby *standby, const struct standby_spec *spec)
{
    const struct standby_spec *own = &standby->spec;
    return own->image != NULL && own->image == spec->image && own->disk_bytes == spec->disk_bytes &&
           own->class == spec->class && own->denied_syscalls_kill == spec->denied_syscalls_kill &&
           own->has_loopback == spec->has_loopback && (own->cached_exec == 0 || own->cached_exec == spec->cached_exec);
}

int standby_make(const struct standby_spec *spec, const struct standby_context *context, struct standby *ret,
                 struct error *err)
{
    int request[2], stub[2], report[2], notify[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "make the report pipe");
    auto_close int report_read = report[0], report_write = report[1];
    /* The sockets are made here, in the slot's own network namespace: see setup in backend_native.c. */
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, request) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "make the request socket");
    auto_close int request_slot = request[0], request_init = request[1];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, stub) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "make the exec stub's socket");
    auto_close int stub_init = stub[0], stub_child = stub[1];
    auto_close int notify_slot = -1, notify_child = -1;
    if (spec->denied_syscalls_kill) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, notify) < 0)
            return error_set(err, ERROR_SANDBOX, errno, "make the socket for the listener");
        notify_slot = notify[0];
        notify_child = notify[1];
    }
    const struct seccomp_filters *filters = context->filters;
    struct box_plan plan = {
        .run = context->run,
        .init_filter = spec->denied_syscalls_kill ? &filters->whole_init : &filters->init,
        .program_filter = spec->denied_syscalls_kill ? &filters->kill[spec->class][spec->has_loopback]
                                                     : &filters->program[spec->class][spec->has_loopback],
        .has_landlock = context->has_landlock,
        .has_loopback = spec->has_loopback,
        .notify_socket = notify_child,
        .exec_stub = context->exec_stub,
        .probe = context->probe,
        .mount_ns = spec->image->mount_ns,
        .network_ns = context->network_ns,
        .request_socket = request_init,
        .stub_socket = { stub_init, stub_child },
        .report = report_write,
        .uid = context->uid,
    };
    (void)snprintf(plan.tmpfs_options, sizeof plan.tmpfs_options, "mode=0700,size=%" PRIu64 ",nr_inodes=%d",
                   spec->disk_bytes, BOX_INODES);
    (void)snprintf(plan.id_map, sizeof plan.id_map, "%d %u 1", UID_INSIDE, (unsigned)context->uid);
    if (spec->cached_exec != 0)
        (void)snprintf(plan.cached_path, sizeof plan.cached_path, "/box/%s", spec->cached_name);
    int pidfd = -1;
    /* CLEAR_SIGHAND: signals from inside reach init only if it has a handler, as a sanitizer may install. */
    struct clone_args args = {
        .flags = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
    };
    if (context->run->group.mode == CGROUP_V2) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)context->run->shared->inits;
    }
    pid_t init = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (init == 0)
        init_process_main(&plan);
    if (init < 0)
        return error_set(err, ERROR_SANDBOX, errno,
                         "clone the run's first process (are user, pid, ipc and uts namespaces enabled?)");
    *ret = (struct standby){ .spec = *spec,
                             .uid = context->uid,
                             .init = init,
                             .pidfd = pidfd,
                             .request_socket = take_fd(&request_slot),
                             .report = take_fd(&report_read),
                             .notify_socket = take_fd(&notify_slot) };
    return 0;
}

void standby_drop(struct standby *standby)
{
    if (standby->spec.image == NULL)
        return;
    (void)syscall(SYS_pidfd_send_signal, standby->pidfd, SIGKILL, NULL, 0);
    while (waitpid(standby->init, NULL, 0) < 0 && errno == EINTR)
        ;
    cleanup_close(&standby->pidfd);
    cleanup_close(&standby->request_socket);
    cleanup_close(&standby->report);
    cleanup_close(&standby->notify_socket);
    memset(standby, 0, sizeof *standby);
}
