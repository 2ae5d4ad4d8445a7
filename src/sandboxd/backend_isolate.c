/*
 * backend_isolate: runs programs with the isolate command (https://github.com/ioi/isolate).  It relies only on the
 * command line and the meta file of isolate.
 *
 *   slot (root) --clone, joins the run's group--> isolate --run (root) --> its proxy, pid 1 --> the program
 *
 * A slot has one box of isolate for its whole life ("isolate box" below).  isolate --init empties it before each run,
 * and the launcher removes it with --cleanup.  isolate passes its standard streams on, so the program writes into the
 * worker's pipes, as with the native backend.  isolate and its children are members of the run's group, if the launcher
 * has groups.  Memory, processes and CPU time are then limited and measured there, also on cgroup v1, which isolate
 * itself does not support.  Without groups isolate's own means remain: --cg, or --mem, which limits each process.
 *
 * To end a run the slot sends isolate SIGTERM.  isolate then kills the program, waits for its proxy and writes the meta
 * file.  The second time it is sent SIGKILL.  Its children become the slot's (the slot reaps orphans), which kills the
 * proxy, and the kernel ends the proxy's pid namespace.  Either way the run is over only when no child is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandboxd/backend.h"
#include "sandboxd/isolate_arguments.h"
#include "sandboxd/isolate_box.h"
#include "sandboxd/isolate_meta.h"

/* isolate checks for signals at least every 100 ms. */
#define KILL_RETRY_US 500000u
/* isolate itself and its proxy, which count in the run's group. */
#define ISOLATE_PROCESSES 2u
/* With a larger exit status isolate itself failed, not the program. */
#define EXIT_OF_PROGRAM_MAX 1

enum step { STEP_ENTER_GROUP, STEP_STREAMS, STEP_ENVIRONMENT, STEP_EXECUTE, STEPS_ };

static const char *const step_names[STEPS_] = {
    [STEP_ENTER_GROUP] = "join the cgroup",
    [STEP_STREAMS] = "connect the streams",
    [STEP_ENVIRONMENT] = "reset signals, keyring and descriptors",
    [STEP_EXECUTE] = "execute isolate",
};

/* A slot is a process. */
static struct {
    char folder[ISOLATE_PATH_BYTES]; /* of the isolate box; "": it has not been initialised */
    bool mounted;                    /* the box's folders are covered by a tmpfs */
    int keep;                        /* of the current run: the file to pack into, or -1 */
    struct isolate_arguments arguments;
} isolate_box = { .keep = -1 };

static int setup(struct slot *slot, struct error *err)
{
    (void)slot;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "become the reaper of orphans");
    return isolate_box_setup(err);
}

static int renew_isolate_box(struct slot *slot, struct error *err)
{
    if (isolate_box.mounted)
        isolate_box_close(isolate_box.folder);
    isolate_box.mounted = false;
    isolate_box.folder[0] = '\0';
    return isolate_init(slot->settings->isolate, slot->settings->isolate_box, isolate_box.folder, err);
}

static void prepare(struct slot *slot)
{
    struct error ignored;
    if (renew_isolate_box(slot, &ignored) < 0)
        isolate_box.folder[0] = '\0';
}

/* ---- start ---- */

static _Noreturn void exec_isolate(const struct slot *slot, const int fds[], int report)
{
    static const char *const no_env[] = { NULL };
    struct init_report failed = { .kind = INIT_FAILED, .step = STEP_ENTER_GROUP };
    failed.os = cgroup_init_enter(&slot->group);
    if (failed.os == 0)
        failed.os = cgroup_run_enter(&slot->group);
    if (failed.os == 0) {
        failed.step = STEP_STREAMS;
        if (dup2(fds[SLOT_FD_STDIN], STDIN_FILENO) < 0 || dup2(fds[SLOT_FD_STDOUT], STDOUT_FILENO) < 0 ||
            dup2(fds[SLOT_FD_STDERR], STDERR_FILENO) < 0)
            failed.os = errno;
    }
    if (failed.os == 0) {
        failed.step = STEP_ENVIRONMENT;
        failed.os = isolate_before_exec();
    }
    if (failed.os == 0) {
        failed.step = STEP_EXECUTE;
        const char *const *words = isolate_box.arguments.words;
        (void)execve(slot->settings->isolate->command, (char *const *)words, (char *const *)no_env);
        failed.os = errno;
    }
    (void)!write(report, &failed, sizeof failed);
    _exit(2);
}

static int clone_isolate(const struct slot *slot, const int fds[], struct active_run *run, struct slot_reply *reply)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return slot_fail(reply, errno, "make the report pipe");
    struct clone_args args = {
        .flags = CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)&run->pidfd,
        .exit_signal = SIGCHLD,
    };
    if (slot->group.group.mode == CGROUP_V2) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)slot->group.group.dirs[0];
    }
    run->report = ends[0];
    run->started = true; /* isolate takes some milliseconds to make its sandbox, which count as the program's */
    run->begun_us = slot_now_us();
    run->init = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (run->init == 0)
        exec_isolate(slot, fds, ends[1]);
    (void)close(ends[1]);
    return run->init < 0 ? slot_fail(reply, errno, "start isolate") : 0;
}

/* Gives isolate's command line the request's words and limits. */
static int make_arguments(const struct slot *slot, struct error *err)
{
    const struct slot_request *request = &slot->request;
    char image_path[sizeof ISOLATE_MOUNTS + 1 + CONTROL_IMAGE_BYTES];
    (void)snprintf(image_path, sizeof image_path, ISOLATE_MOUNTS "/%s", slot->image->name);
    const struct isolate_run run = {
        .command = slot->settings->isolate->command,
        .isolate_box = slot->settings->isolate_box,
        .cg = slot->settings->isolate->cg,
        .has_groups = slot->group.group.mode != CGROUP_NONE,
        .meta_path = ISOLATE_META_PATH,
        .image_path = image_path,
        .limits = &request->limits,
        .argv = slot->words,
        .env = slot->words + request->words + 1,
    };
    return isolate_arguments_make(&run, &isolate_box.arguments, err);
}

static int start(struct slot *slot, const int fds[], struct active_run *run, struct slot_reply *reply)
{
    const struct slot_request *request = &slot->request;
    int archive = slot_archive_fd(slot, fds), keep = slot_keep_fd(slot, fds);
    struct error err;
    if (request->flags & (SLOT_SELF_TEST | SLOT_DENIED_SYSCALLS_KILL))
        return slot_fail(reply, EOPNOTSUPP, "the isolate backend does not use evalx's syscall filter");

    /* An empty box with a limited disk, the image, and the request's files. */
    if (isolate_box.folder[0] == '\0' && renew_isolate_box(slot, &err) < 0)
        return slot_fail_error(reply, &err);
    if (isolate_box_attach(slot->settings->images_folder, slot->image, &err) < 0)
        return slot_fail_error(reply, &err);
    isolate_box.mounted = true;
    if (isolate_box_open(isolate_box.folder, request->limits.disk_bytes, &err) < 0)
        return slot_fail_error(reply, &err);
    isolate_box_forget_files();
    int os = archive < 0 ? 0 : isolate_box_unpack(isolate_box.folder, archive);
    if (os != 0)
        return slot_fail(reply, os, "step 'unpack the files'");

    struct limits limits = request->limits;
    limits.processes += ISOLATE_PROCESSES;
    if (make_arguments(slot, &err) < 0 || cgroup_run_limit(&slot->group, &limits, true, &err) < 0)
        return slot_fail_error(reply, &err);
    if (unlink(ISOLATE_META_PATH) < 0 && errno != ENOENT)
        return slot_fail(reply, errno, "remove the meta file of the previous run");
    cleanup_close(&isolate_box.keep);
    isolate_box.keep = keep < 0 ? -1 : fcntl(keep, F_DUPFD_CLOEXEC, 3); /* the request's is closed once it runs */
    if (keep >= 0 && isolate_box.keep < 0)
        return slot_fail(reply, errno, "keep a descriptor");
    cgroup_run_begin(&slot->group);
    return clone_isolate(slot, fds, run, reply);
}

/* ---- end ---- */

static void kill_isolate(struct active_run *run)
{
    int signal = run->kills == 0 ? SIGTERM : SIGKILL;
    (void)syscall(SYS_pidfd_send_signal, run->pidfd, signal, NULL, 0);
}

/* What isolate's own process used, while it exists.  0 if the kernel does not report it. */
static uint64_t own_cpu_us(const struct active_run *run)
{
    char path[48], text[96];
    (void)snprintf(path, sizeof path, "/proc/%d/schedstat", (int)run->init);
    auto_close int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (len <= 0)
        return 0;
    text[len] = '\0';
    return strtoull(text, NULL, 10) / 1000;
}

/* The group holds isolate itself.  Files are unpacked and packed outside it, for the run. */
static uint64_t cpu_us(struct active_run *run, uint64_t group_us)
{
    uint64_t own_us = own_cpu_us(run);
    return (group_us > own_us ? group_us - own_us : 0) + isolate_box_files_us();
}

/*
 * Once isolate has been reaped, the slot has children only if isolate died before them.  Kills them until none is left.
 */
static void kill_orphans(void)
{
    for (;;) {
        char text[256];
        auto_close int children = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        ssize_t len = children < 0 ? -1 : read(children, text, sizeof text - 1);
        if (len > 0) {
            text[len] = '\0';
            char *stop;
            for (long pid = strtol(text, &stop, 10); pid > 0 && *stop == ' '; pid = strtol(stop, &stop, 10))
                (void)kill((pid_t)pid, SIGKILL);
        }
        if (waitpid(-1, NULL, 0) < 0 && errno != EINTR)
            return;
    }
}

static int read_meta(struct isolate_meta *ret, struct error *err)
{
    static char text[ISOLATE_META_BYTES_MAX + 1];
    auto_close int file = open(ISOLATE_META_PATH, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return error_set(err, ERROR_SANDBOX, errno, "open isolate's meta file");
    size_t len = 0;
    for (ssize_t got = 1; got > 0 && len < sizeof text; len += (size_t)got) {
        got = read(file, text + len, sizeof text - len);
        if (got < 0)
            return error_set(err, ERROR_SANDBOX, errno, "read isolate's meta file");
    }
    return isolate_meta_parse((struct text){ text, len }, ret, err);
}

static void take_meta(const struct slot *slot, const struct isolate_meta *meta, struct run_stats *stats)
{
    stats->wall_us = meta->wall_us;
    stats->exit_code = meta->has_exit_code ? (int32_t)meta->exit_code : 0;
    stats->signal = meta->has_signal ? (int32_t)meta->signal : 0;
    if (slot->group.group.mode == CGROUP_NONE) {
        stats->cpu_us = meta->cpu_us;
        stats->memory_bytes = meta->group_bytes != 0 ? meta->group_bytes : meta->rss_bytes;
        stats->oom_kills = meta->oom_killed;
    }
    if (meta->status != ISOLATE_TO)
        return;
    /* isolate's clock was faster than the slot's.  Its figures show which limit it was. */
    run_stats_compare(stats, &slot->request.limits);
    if (!stats->wall_exceeded)
        stats->cpu_exceeded = true;
    stats->exit_code = 0;
    stats->signal = SIGKILL;
}

static void pack_files(struct slot *slot, const struct run_stats *stats, struct slot_reply *reply)
{
    if (isolate_box.keep < 0 || stats->exit_code != 0 || stats->signal != 0 || slot_killed_run(stats))
        return;
    int os = isolate_box_pack(isolate_box.folder, isolate_box.keep, slot->request.keep_bytes_max);
    reply->files_kept = os == 0;
    if (os != 0)
        slot_fail_pack(reply, os);
}

static void finish(struct slot *slot, struct active_run *run, struct slot_reply *reply)
{
    struct run_stats *stats = &run->stats;
    uint64_t used_us = slot_cpu_us(slot, run), unpacked_us = isolate_box_files_us();
    uint64_t wall_us = slot_now_us() - run->begun_us;
    int status = slot_reap(run);
    kill_orphans();
    while (slot_read_report(run))
        ;
    cgroup_run_stats(&slot->group, stats);
    if (slot->group.group.mode != CGROUP_NONE)
        stats->cpu_us = used_us;

    struct isolate_meta meta = { 0 };
    struct error err;
    if (run->failure.kind != 0) {
        reply->os = run->failure.os;
        (void)snprintf(reply->text, sizeof reply->text, "step '%s'", step_names[run->failure.step % STEPS_]);
    } else if (slot_killed_run(stats) || stats->oom_kills > 0) {
        /* Killed from outside: isolate may have written a whole meta file, a part of it, or none. */
        bool is_complete = read_meta(&meta, &err) == 0 && meta.status != ISOLATE_XX && meta.has_exit_code;
        stats->wall_us = wall_us;
        stats->exit_code = is_complete ? (int32_t)meta.exit_code : 0;
        stats->signal = is_complete ? 0 : SIGKILL;
    } else if (read_meta(&meta, &err) < 0) {
        (void)slot_fail_error(reply, &err);
    } else if (meta.status == ISOLATE_XX || !WIFEXITED(status) || WEXITSTATUS(status) > EXIT_OF_PROGRAM_MAX) {
        reply->os = EIO;
        (void)snprintf(reply->text, sizeof reply->text, "isolate: %s",
                       meta.message[0] != '\0' ? meta.message : "it failed without a message");
    } else {
        take_meta(slot, &meta, stats);
        pack_files(slot, stats, reply);
        stats->cpu_us += isolate_box_files_us() - unpacked_us;
    }
    cleanup_close(&isolate_box.keep);
    isolate_box.keep = -1;
}

const struct backend backend_isolate = {
    .setup = setup,
    .prepare = prepare,
    .start = start,
    .kill = kill_isolate,
    .kill_retry_us = KILL_RETRY_US,
    .cpu_us = cpu_us,
    .finish = finish,
};
