/*
 * backend_isolate: runs made by the isolate command (https://github.com/ioi/isolate), known by its command line and meta
 * file.
 *
 *   slot (root) --fork, joins the run's group--> isolate --run (the keeper, root) --> proxy, pid 1 --> the program
 *
 * A box of isolate's belongs to the slot for the slot's life; --init makes it empty ahead of each run, and the launcher
 * removes it by --cleanup.  The standard streams are inherited, so the program writes into the worker's pipes as in the
 * native driver.  The keeper and its children are members of the run's own group (where the launcher has groups):
 * memory, processes and CPU time are limited and measured there, on cgroup v1 as well, which isolate itself does not
 * know.  Without groups isolate's own means remain: --cg, or --mem of each process.
 *
 * To end a run the keeper is sent SIGTERM: it kills the program, waits for its proxy and writes its meta file.  Asked
 * again, it is killed; the slot is then the parent of what is left (it reaps orphans), and kills the proxy, with which
 * the kernel ends the whole pid namespace.  Either way the run is over only when no child is left.
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

/* isolate looks at its signals at least every 100 ms. */
#define END_AGAIN_US 500000u
/* isolate's keeper and proxy, which are members of the run's group too. */
#define KEEPERS 2u
/* Exit status of isolate beyond which it was not the program that failed. */
#define EXIT_OF_PROGRAM_MAX 1

enum step { STEP_ENTER_GROUP, STEP_CONNECT, STEP_INHERIT, STEP_EXECUTE, STEPS_ };

static const char *const step_names[STEPS_] = {
    [STEP_ENTER_GROUP] = "join the cgroup",
    [STEP_CONNECT] = "connect the streams",
    [STEP_INHERIT] = "inherit nothing",
    [STEP_EXECUTE] = "execute isolate",
};

/* One a process: a slot has one box of isolate's. */
static struct {
    char folder[ISOLATE_PATH_BYTES]; /* "": there is none */
    bool covered;
    int keep; /* of the run that goes on, or -1 */
    struct isolate_arguments arguments;
} box = { .keep = -1 };

static void setup(struct slot *slot, struct error *err)
{
    (void)slot;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        error_set(err, ERROR_SANDBOX, errno, "become the reaper of orphans");
    else
        (void)isolate_box_setup(err);
}

static int renew_box(struct slot *slot, struct error *err)
{
    if (box.covered)
        isolate_box_close(box.folder);
    box.covered = false;
    box.folder[0] = '\0';
    return isolate_init(slot->settings->isolate, slot->settings->isolate_box, box.folder, err);
}

static void prepare(struct slot *slot)
{
    struct error ignored; /* the next run tries again, and tells */
    if (renew_box(slot, &ignored) < 0)
        box.folder[0] = '\0';
}

static int refuse_error(struct slot_reply *reply, const struct error *err)
{
    return slot_refuse(reply, err->os != 0 ? err->os : EIO, err->text);
}

/* ---- start ---- */

static _Noreturn void become_keeper(const struct slot *slot, const int fds[], int report)
{
    static const char *const no_env[] = { NULL };
    struct init_report failed = { .kind = INIT_FAILED, .step = STEP_ENTER_GROUP };
    failed.os = cgroup_run_enter(&slot->next);
    if (failed.os == 0) {
        failed.step = STEP_CONNECT;
        if (dup2(fds[SLOT_FD_STDIN], STDIN_FILENO) < 0 || dup2(fds[SLOT_FD_STDOUT], STDOUT_FILENO) < 0 ||
            dup2(fds[SLOT_FD_STDERR], STDERR_FILENO) < 0)
            failed.os = errno;
    }
    if (failed.os == 0) {
        failed.step = STEP_INHERIT;
        failed.os = isolate_before_exec();
    }
    if (failed.os == 0) {
        failed.step = STEP_EXECUTE;
        (void)execve(slot->settings->isolate->command, (char *const *)box.arguments.words, (char *const *)no_env);
        failed.os = errno;
    }
    (void)!write(report, &failed, sizeof failed);
    _exit(2);
}

static int clone_keeper(const struct slot *slot, const int fds[], struct active_run *active_run,
                        struct slot_reply *reply)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return slot_refuse(reply, errno, "make the report pipe");
    struct clone_args args = {
        .flags = CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)&active_run->pidfd,
        .exit_signal = SIGCHLD,
    };
    if (slot->next.group.version == CGROUP_V2) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)slot->next.group.dirs[0];
    }
    active_run->report = ends[0];
    active_run->started = true; /* isolate furnishes the box in some milliseconds, which count as the program's */
    active_run->begun_us = slot_now_us();
    active_run->init = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (active_run->init == 0)
        become_keeper(slot, fds, ends[1]);
    (void)close(ends[1]);
    return active_run->init < 0 ? slot_refuse(reply, errno, "start isolate") : 0;
}

/* A box that is empty, limited, and holds the request's files. */
static int furnish(struct slot *slot, int archive, struct slot_reply *reply)
{
    struct error err;
    if (box.folder[0] == '\0' && renew_box(slot, &err) < 0)
        return refuse_error(reply, &err);
    if (isolate_box_attach(slot->settings->images_folder, slot->image, &err) < 0)
        return refuse_error(reply, &err);
    box.covered = true;
    if (isolate_box_open(box.folder, slot->request.limits.disk_bytes, &err) < 0)
        return refuse_error(reply, &err);
    int os = archive < 0 ? 0 : isolate_box_unpack(box.folder, archive);
    return os == 0 ? 0 : slot_refuse(reply, os, "step 'unpack the files'");
}

static int start(struct slot *slot, const int fds[], struct active_run *active_run, struct slot_reply *reply)
{
    const struct slot_request *r = &slot->request;
    if (r->flags & (SLOT_SELF_TEST | SLOT_DENIED_ENDS))
        return slot_refuse(reply, EOPNOTSUPP, "the isolate driver has no filter of evalx's own");
    if (furnish(slot, slot_archive_fd(slot, fds), reply) < 0)
        return -1;

    bool has_groups = slot->next.group.version != CGROUP_NONE;
    char image_path[sizeof ISOLATE_NEW_ROOT + 1 + CONTROL_IMAGE_BYTES];
    (void)snprintf(image_path, sizeof image_path, ISOLATE_NEW_ROOT "/%s", slot->image->name);
    const struct isolate_run run = {
        .command = slot->settings->isolate->command,
        .box = slot->settings->isolate_box,
        .cg = slot->settings->isolate->cg,
        .has_groups = has_groups,
        .meta_path = ISOLATE_META_PATH,
        .image_path = image_path,
        .limits = &r->limits,
        .argv = slot->words,
        .env = slot->words + r->words + 1,
    };
    struct limits limits = r->limits;
    limits.processes += KEEPERS;
    struct error err;
    if (isolate_arguments_make(&run, &box.arguments, &err) < 0 || cgroup_run_limit(&slot->next, &limits, &err) < 0)
        return refuse_error(reply, &err);
    if (unlink(ISOLATE_META_PATH) < 0 && errno != ENOENT)
        return slot_refuse(reply, errno, "remove the meta file of the run before");
    if (box.keep >= 0)
        (void)close(box.keep);
    int keep = slot_keep_fd(slot, fds);
    box.keep = keep < 0 ? -1 : fcntl(keep, F_DUPFD_CLOEXEC, 3); /* the request's own is closed as soon as it runs */
    if (keep >= 0 && box.keep < 0)
        return slot_refuse(reply, errno, "keep a descriptor");
    slot->runs++;
    cgroup_run_begin(&slot->next);
    return clone_keeper(slot, fds, active_run, reply);
}

/* ---- end ---- */

static void end(struct active_run *active_run)
{
    int signal = active_run->asked_to_end == 0 ? SIGTERM : SIGKILL;
    (void)syscall(SYS_pidfd_send_signal, active_run->pidfd, signal, NULL, 0);
}

/* The keeper's own, while it is still there to be asked; 0 where the kernel does not say. */
static uint64_t own_cpu_us(const struct active_run *active_run)
{
    char path[48], text[96];
    (void)snprintf(path, sizeof path, "/proc/%d/schedstat", (int)active_run->init);
    auto_close int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (len <= 0)
        return 0;
    text[len] = '\0';
    return strtoull(text, NULL, 10) / 1000;
}

/* Whoever is a child of the slot now, is so because the keeper died first.  Each is killed, until none is left. */
static void end_orphans(void)
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
    const struct limits *l = &slot->request.limits;
    stats->wall_us = meta->wall_us;
    stats->exit_code = meta->has_exit_code ? (int32_t)meta->exit_code : 0;
    stats->signal = meta->has_signal ? (int32_t)meta->signal : 0;
    if (slot->next.group.version == CGROUP_NONE) {
        stats->cpu_us = meta->cpu_us;
        stats->memory_bytes = meta->group_bytes != 0 ? meta->group_bytes : meta->rss_bytes;
        stats->oom_kills = meta->oom_killed;
    }
    if (meta->status != ISOLATE_TO)
        return;
    /* isolate's clock was first; which of the two limits it was stands in the figures. */
    stats->wall_exceeded |= meta->wall_us >= l->wall_us;
    stats->cpu_exceeded |= meta->cpu_us >= l->cpu_us || !stats->wall_exceeded;
    stats->exit_code = 0;
    stats->signal = SIGKILL;
}

static void keep_files(struct slot *slot, const struct run_stats *stats, struct slot_reply *reply)
{
    if (box.keep < 0 || stats->exit_code != 0 || stats->signal != 0 || slot_has_ended(stats))
        return;
    int os = isolate_box_pack(box.folder, box.keep, slot->request.limits.disk_bytes);
    reply->files_kept = os == 0;
    if (os == 0)
        return;
    (void)snprintf(reply->text, sizeof reply->text, "keep the files of the box: %s", strerror(os));
    if (os != EFBIG && os != ENAMETOOLONG) /* these are what the program made of its box */
        reply->os = os;
}

static void finish(struct slot *slot, struct active_run *active_run, struct slot_reply *reply)
{
    struct run_stats *stats = &active_run->stats;
    uint64_t cpu_us = slot_cpu_us(slot, active_run), wall_us = slot_now_us() - active_run->begun_us;
    int status = slot_reap(active_run);
    end_orphans();
    while (slot_hear_report(active_run))
        ;
    cgroup_run_facts(&slot->next, stats);
    if (slot->next.group.version != CGROUP_NONE)
        stats->cpu_us = cpu_us;

    struct isolate_meta meta = { 0 };
    struct error err;
    if (active_run->failure.kind != 0) {
        (void)slot_refuse(reply, active_run->failure.os, "");
        (void)snprintf(reply->text, sizeof reply->text, "step '%s'", step_names[active_run->failure.step % STEPS_]);
    } else if (slot_has_ended(stats) || stats->oom_kills > 0) {
        /* It was ended from outside, so isolate may have written anything or nothing. */
        bool whole = read_meta(&meta, &err) == 0 && meta.status != ISOLATE_XX && meta.has_exit_code;
        stats->wall_us = wall_us;
        stats->exit_code = whole ? (int32_t)meta.exit_code : 0;
        stats->signal = whole ? 0 : SIGKILL;
    } else if (read_meta(&meta, &err) < 0) {
        (void)refuse_error(reply, &err);
    } else if (meta.status == ISOLATE_XX || !WIFEXITED(status) || WEXITSTATUS(status) > EXIT_OF_PROGRAM_MAX) {
        (void)slot_refuse(reply, EIO, "");
        (void)snprintf(reply->text, sizeof reply->text, "isolate: %s",
                       meta.message[0] != '\0' ? meta.message : "it ended without saying why");
    } else {
        take_meta(slot, &meta, stats);
        keep_files(slot, stats, reply);
    }
    if (box.keep >= 0)
        (void)close(box.keep);
    box.keep = -1;
}

const struct backend backend_isolate = {
    .setup = setup,
    .prepare = prepare,
    .start = start,
    .end = end,
    .end_again_us = END_AGAIN_US,
    .own_cpu_us = own_cpu_us,
    .finish = finish,
};
