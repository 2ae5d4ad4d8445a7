/*
 * backend_native: runs in fresh namespaces (init_process.h has the two processes of a run), in boxes made ahead
 * (standby.h).
 *
 * The run's first process is init, pid 1 of the box.  However it ends, the kernel kills and reaps all that is left in
 * the pid namespace before init's parent is notified.
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

#include "base/cleanup.h"
#include "base/landlock.h"
#include "base/packet.h"
#include "sandboxd/backend.h"
#include "sandboxd/exec_cache.h"
#include "sandboxd/exec_stub.h"
#include "sandboxd/init_process.h"
#include "sandboxd/landlock.h"
#include "sandboxd/prestart.h"
#include "sandboxd/proc_files.h"
#include "sandboxd/standby.h"

/* How long the kernel's socket collector may take.  It takes some ms if a run left sockets, and the next run waits. */
#define COLLECT_MS_MAX 2000u
/* Archives up to this size are unpacked on the program's clock: 1 MiB takes about 0.3 ms. */
#define ARCHIVE_QUICK_BYTES (1 << 20)

/* A slot is a process. */
static struct {
    int network_ns;            /* of all its runs */
    int sockstat;              /* /proc/net/sockstat of that namespace */
    unsigned sockets_at_start; /* that it had before the first run */
    int exec_stub;             /* descriptor of the executable */
    bool has_landlock;         /* of landlock_is_available */
    bool filter_loaded;        /* see load_slot_filter */
    int listener;              /* for foreign system calls of any run, if the filter is loaded; or -1 */
    uint64_t uids_used;
    struct limits applied; /* limits that slot->group has; 0: none yet */
    int init_socket;       /* to the current run's init, which exits when it is closed; or -1 */
    struct exec_cache exec_cache;
    /* The last run's properties, which the next run is expected to have. */
    struct standby_spec last_spec; /* image NULL: no run yet */
    struct limits last_limits;
    struct prestart_spec last_prestart;
    bool prestart_repeated; /* of the last two requests */
    /* The box of the next run, in slot->group. */
    struct standby standby;
    struct prestart prestart;
} native = { .network_ns = -1, .sockstat = -1, .exec_stub = -1, .listener = -1, .init_socket = -1 };

/* ---- the network ---- */

/* Reads "sockets: used N" of the runs' network namespace.  Sockets of the kernel itself are not counted. */
static unsigned count_sockets(void)
{
    static const char before[] = "sockets: used ";
    char text[64];
    ssize_t got = pread(native.sockstat, text, sizeof text - 1, 0);
    if (got < (ssize_t)sizeof before || memcmp(text, before, sizeof before - 1) != 0)
        return UINT_MAX;
    text[got] = '\0';
    return (unsigned)strtoul(text + sizeof before - 1, NULL, 10);
}

/*
 * The slot makes the network namespace of its runs and then returns to its own.  The sockets between root side and
 * boxes must not be in the namespace of programs, and must not be counted as a program's.
 */
static int setup(struct slot *slot, struct error *err)
{
    (void)slot;
    auto_close int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0 || unshare(CLONE_NEWNET) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "make a network namespace");
    native.network_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    native.sockstat = open("/proc/thread-self/net/sockstat", O_RDONLY | O_CLOEXEC);
    if (native.network_ns < 0 || native.sockstat < 0 || setns(own, CLONE_NEWNET) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "keep a network namespace");
    native.sockets_at_start = count_sockets();
    if (native.sockets_at_start == UINT_MAX)
        return error_set(err, ERROR_SANDBOX, 0, "/proc/net/sockstat lacks the number of sockets in use");
    native.has_landlock = landlock_is_available();
    exec_cache_init(&native.exec_cache);
    native.exec_stub = exec_stub_open();
    return native.exec_stub < 0 ? error_set(err, ERROR_SANDBOX, errno, "make the exec stub's file") : 0;
}

/*
 * Sockets that were sent over each other, and that nobody can receive any more, outlive their processes until the
 * kernel collects them.  Until then they keep names in the slot's network namespace, which the next run could find, and
 * whatever else was sent with them: memory that no cgroup is charged for.  Closing any socket starts the collector.
 */
static void collect_sockets(struct slot *slot)
{
    for (unsigned waited_ms = 0; count_sockets() != native.sockets_at_start; waited_ms++) {
        int pair[2];
        if (waited_ms == COLLECT_MS_MAX) {
            dprintf(STDERR_FILENO, "evalx slot %u: sockets of a run outlive it\n", slot->settings->number);
            _exit(1); /* the next run gets a new slot, and with it a new network namespace */
        }
        if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0) {
            (void)close(pair[0]);
            (void)close(pair[1]);
        }
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
}

/* ---- the box ---- */

/*
 * A standby box has at least this limit of memory until its request is known.  With a lower one of the last request,
 * making the box could run out of memory, and the next request would be blamed.
 */
#define STANDBY_BYTES_MIN (64u << 20)

/* ERROR_BUSY: the limit of memory does not suffice for the box.  Other errors are the host's. */
static int limit_group(struct slot *slot, const struct limits *limits, bool has_loopback, struct error *err)
{
    if (native.applied.memory_bytes == limits->memory_bytes && native.applied.processes == limits->processes &&
        slot->group.has_network == has_loopback)
        return 0;
    native.applied = *limits;
    if (cgroup_run_limit(&slot->group, limits, has_loopback, err) == 0)
        return 0;
    if (err->os == EBUSY) /* v1 cannot lower the limit below what the standby box uses */
        err->kind = ERROR_BUSY;
    return -1;
}

static int make_standby(struct slot *slot, const struct standby_spec *spec, int probe, struct error *err)
{
    const struct standby_context context = {
        .run = &slot->group,
        .filters = slot->settings->filters,
        .has_landlock = native.has_landlock,
        .network_ns = native.network_ns,
        .exec_stub = native.exec_stub,
        .probe = probe,
        .uid = slot->settings->uid_first + (uint32_t)(native.uids_used++ % SLOT_UIDS),
    };
    return standby_make(spec, &context, &native.standby, err);
}

static void drop_standby(void)
{
    prestart_close(&native.prestart);
    standby_drop(&native.standby);
}

/* A standby box may end before it is used: a process of it was killed, or could not be made. */
static bool standby_is_alive(void)
{
    struct pollfd ended = { .fd = native.standby.pidfd, .events = POLLIN };
    return poll(&ended, 1, 0) == 0;
}

/*
 * Makes a standby box for a run like the last one.  Best effort: if this fails, start makes one and reports the error.
 */
static void prepare(struct slot *slot)
{
    struct error ignored;
    struct standby_spec *spec = &native.last_spec;
    drop_standby(); /* one is left if the request was rejected */
    native.applied = (struct limits){ 0 };
    if (spec->image == NULL)
        return;
    /* A run that may be prestarted has a source file, and no executable. */
    spec->cached_exec = native.last_prestart.is_set ? 0 : exec_cache_store(&native.exec_cache, spec->image);
    spec->cached_name = native.exec_cache.name;
    struct limits limits = native.last_limits;
    if (limits.memory_bytes < STANDBY_BYTES_MIN)
        limits.memory_bytes = STANDBY_BYTES_MIN;
    if (limit_group(slot, &limits, spec->has_loopback, &ignored) < 0 || make_standby(slot, spec, -1, &ignored) < 0 ||
        !native.prestart_repeated)
        return;
    bool no_cgroup = slot->group.group.mode == CGROUP_NONE;
    if (prestart_start(&native.standby, &native.last_prestart, no_cgroup, &native.prestart) < 0)
        drop_standby();
}

/*
 * The slot's own filter cannot be removed, so it is loaded at the first request, which shows whether this worker's runs
 * bring listeners of their own.  If another kind of run follows, the worker has changed its setting.  It gets a new
 * slot then.
 */
static int load_slot_filter(const struct slot *slot, struct error *err)
{
    bool kills = (slot->request.flags & SLOT_DENIED_SYSCALLS_KILL) != 0;
    if (native.filter_loaded && kills) {
        dprintf(STDERR_FILENO, "evalx slot %u: denied_syscalls=kill after other runs\n", slot->settings->number);
        _exit(1);
    }
    if (native.filter_loaded || kills)
        return 0;
    const struct sock_fprog *filter = &slot->settings->filters->slot;
    int os = seccomp_filter_load_notify(filter, &native.listener);
    if (os == EBUSY) /* the container has a listener: a foreign call gets ENOSYS and is not reported */
        os = seccomp_filter_load(filter);
    native.filter_loaded = os == 0;
    return os == 0 ? 0 : error_set(err, ERROR_SANDBOX, os, "load the slot's filter of system calls");
}

/* Remembers a run's properties.  Two equal requests in a row are taken for the beginning of a series. */
static void learn(const struct slot *slot, const struct standby_spec *spec)
{
    struct prestart_spec asked;
    native.last_spec = *spec;
    native.last_limits = slot->request.limits;
    prestart_spec_of(&slot->request, &asked);
    if (slot->group.group.mode != CGROUP_NONE)
        asked.limits.memory_bytes = 0; /* enforced by the group, and lowered by each request's files */
    native.prestart_repeated = prestart_spec_equal(&asked, &native.last_prestart);
    native.last_prestart = asked;
}

/* Makes native.standby a box for the request: the one that is there, if it fits, or a new one. */
static int ensure_box(struct slot *slot, int archive, struct error *err)
{
    const struct slot_request *request = &slot->request;
    bool keeps = (request->flags & SLOT_KEEP_FILES) != 0, self_test = (request->flags & SLOT_SELF_TEST) != 0;
    struct standby_spec spec = { .image = slot->image,
                                 .disk_bytes = request->limits.disk_bytes,
                                 .class = request->class,
                                 .denied_syscalls_kill = (request->flags & SLOT_DENIED_SYSCALLS_KILL) != 0,
                                 .has_loopback = (request->flags & SLOT_LOOPBACK) != 0 };
    if (load_slot_filter(slot, err) < 0)
        return -1;
    if (!keeps && !self_test) { /* a compile is followed by runs, not by another compile */
        exec_cache_see(&native.exec_cache, archive);
        spec.cached_exec = exec_cache_number(&native.exec_cache, slot->image);
        spec.cached_name = native.exec_cache.name;
        learn(slot, &spec);
    }
    bool prestart_fits =
        !native.prestart.spec.is_set || (!keeps && prestart_spec_equal(&native.prestart.spec, &native.last_prestart));
    if (!self_test && prestart_fits && standby_fits(&native.standby, &spec) && standby_is_alive())
        return limit_group(slot, &request->limits, spec.has_loopback, err);

    bool group_is_used = native.standby.spec.image != NULL; /* it keeps the peak memory of the dropped box */
    drop_standby();
    if (group_is_used) {
        native.applied = (struct limits){ 0 };
        if (slot_renew_group(slot, err) < 0)
            return -1;
    }
    auto_close int probe = self_test ? open("/proc/self/exe", O_PATH | O_CLOEXEC) : -1;
    if (limit_group(slot, &request->limits, spec.has_loopback, err) < 0)
        return -1;
    return make_standby(slot, &spec, probe, err);
}

/* ---- the run ---- */

/*
 * Programs open their streams again as /dev/stdout and /dev/stderr, which only the owner of a pipe may.  Only nameless
 * pipes, which are on the same file system as `pipe_end`, change their owner: the worker chooses the descriptors, and
 * must not choose the owners of the host's files.
 */
static void give_streams(const int fds[], int pipe_end, uid_t uid)
{
    struct stat st, own;
    if (fstat(pipe_end, &own) < 0)
        return;
    for (int i = SLOT_FD_STDOUT; i <= SLOT_FD_STDERR; i++)
        if (fstat(fds[i], &st) == 0 && S_ISFIFO(st.st_mode) && st.st_dev == own.st_dev)
            (void)!fchown(fds[i], uid, uid); /* if it fails, only this convenience is missing */
}

/* Is the archive so large that the program's clock must not run while it is unpacked? */
static bool is_large(int archive)
{
    struct stat st;
    off_t cached = native.standby.spec.cached_exec != 0 ? (off_t)native.exec_cache.size : 0;
    return archive >= 0 && (fstat(archive, &st) < 0 || st.st_size - cached > ARCHIVE_QUICK_BYTES);
}

static void send_exec_request(const struct slot *slot, const int fds[], bool reports_start)
{
    static struct exec_request exec;
    const struct slot_request *request = &slot->request;
    exec.limits = request->limits;
    exec.keep_bytes_max = request->keep_bytes_max;
    exec.flags = request->flags | (reports_start ? EXEC_REPORTS_START : 0) |
                 (slot->group.group.mode == CGROUP_NONE ? EXEC_NO_CGROUP : 0);
    exec.words = request->words;
    exec.variables = request->variables;
    exec.strings_len = request->strings_len;
    memcpy(exec.strings, request->strings, request->strings_len);
    size_t fds_len =
        SLOT_FD_BASE_COUNT_ + ((request->flags & SLOT_HAS_ARCHIVE) != 0) + ((request->flags & SLOT_KEEP_FILES) != 0);
    /* If it cannot be sent, the box has ended, and its report explains why. */
    (void)!packet_send(native.init_socket, &exec, EXEC_REQUEST_HEAD_BYTES + exec.strings_len, fds, fds_len);
}

/* Init unpacks and packs files for the run, and reaps its processes. */
static uint64_t cpu_us(struct active_run *run, uint64_t group_us)
{
    uint64_t now_us = slot_clock_us(run->init_clock); /* 0 once init has been reaped */
    if (now_us > run->init_us)
        run->init_us = now_us;
    return group_us + (run->init_us > run->init_us_at_begin ? run->init_us - run->init_us_at_begin : 0);
}

static void kill_init(struct active_run *run)
{
    (void)syscall(SYS_pidfd_send_signal, run->pidfd, SIGKILL, NULL, 0);
}

static int start(struct slot *slot, const int fds[], struct active_run *run, struct slot_reply *reply)
{
    struct error err;
    struct standby *standby = &native.standby;
    int archive = slot_archive_fd(slot, fds);
    if (slot->image->mount_ns < 0 && rootfs_build(slot->settings->images_folder, slot->image, &err) < 0)
        return slot_fail_error(reply, &err);
    if (ensure_box(slot, archive, &err) < 0)
        return err.kind == ERROR_BUSY ? slot_fail_memory(run) : slot_fail_error(reply, &err);
    int listener = native.listener < 0 ? -1 : fcntl(native.listener, F_DUPFD_CLOEXEC, 0);
    if (native.listener >= 0 && listener < 0)
        return slot_fail(reply, errno, "keep the listener for denied system calls");
    proc_files_set_memory(slot->image->meminfo, slot->request.limits.memory_bytes + slot->files_bytes);
    give_streams(fds, standby->report, standby->uid);
    run->init = standby->init;
    run->pidfd = standby->pidfd;
    run->report = standby->report;
    run->notify = standby->notify_socket;
    if (listener >= 0) {
        run->notify = listener;
        run->listening = true;
    }
    run->begun_us = slot_now_us();
    cgroup_run_begin(&slot->group); /* what making the box used is not the program's */
    (void)clock_getcpuclockid(run->init, &run->init_clock);
    run->init_us_at_begin = slot_clock_us(run->init_clock);
    native.init_socket = standby->request_socket;
    standby->spec.image = NULL; /* the box belongs to the run now */
    if (native.prestart.spec.is_set) {
        const struct prestart_feed feed = {
            .request_socket = native.init_socket,
            .worker = slot->socket,
            .request = &slot->request,
            .input = fds[SLOT_FD_STDIN],
            .archive = archive,
        };
        run->started = true;
        int result = prestart_feed(&native.prestart, &feed);
        prestart_close(&native.prestart);
        if (result < 0)
            kill_init(run);
        return 0;
    }
    bool reports_start = is_large(archive);
    run->started = !reports_start;
    send_exec_request(slot, fds, reports_start);
    return 0;
}

/*
 * Did the run end for lack of memory?  With a small limit the kernel may kill the program's process, or refuse it
 * memory, before it is the program.
 */
static bool lacks_memory(const struct slot *slot, const struct active_run *run)
{
    bool refused = (run->failure.os == ENOMEM && init_step_is_in_group(run->failure.step)) || run->exec_os == ENOMEM;
    return slot->group.group.mode != CGROUP_NONE &&
           (refused || run->lacks_memory || cgroup_run_oom_kills(&slot->group) > 0);
}

static void finish(struct slot *slot, struct active_run *run, struct slot_reply *reply)
{
    if (run->end.kind == 0) { /* init was killed or failed: its last reports are still in the pipe */
        (void)slot_reap(run);
        while (slot_read_report(run))
            ;
    }
    bool lacked_memory = lacks_memory(slot, run);
    if (run->failure.kind != 0 && !lacked_memory) { /* explains whatever else was reported */
        (void)snprintf(reply->text, sizeof reply->text, "step '%s'%s", init_step_name(run->failure.step),
                       init_step_remedy(run->failure.step, run->failure.os));
        reply->os = run->failure.os != 0 ? run->failure.os : EIO;
        return;
    }
    const struct init_report *end = &run->end;
    struct run_stats *stats = &run->stats;
    cgroup_run_stats(&slot->group, stats);
    if (lacked_memory && stats->oom_kills == 0)
        stats->oom_kills = 1;
    if (slot->group.group.mode != CGROUP_NONE)
        stats->cpu_us = cpu_us(run, stats->cpu_us);
    if (end->kind == 0) {
        stats->wall_us = slot_now_us() - run->begun_us;
        stats->signal = stats->denied_syscall != 0 ? SIGSYS : SIGKILL;
        if (!slot_killed_run(stats) && stats->oom_kills == 0)
            (void)slot_fail(reply, EIO, "the run's first process ended without a report");
        return;
    }
    stats->wall_us = end->wall_us;
    stats->exit_code = WIFEXITED(end->wait_status) ? WEXITSTATUS(end->wait_status) : 0;
    stats->signal = WIFSIGNALED(end->wait_status) ? WTERMSIG(end->wait_status) : 0;
    reply->files_kept = end->files_kept;
    if (end->pack_os != 0)
        slot_fail_pack(reply, end->pack_os);
    if (slot->group.group.mode == CGROUP_NONE) {
        stats->cpu_us = end->cpu_us;
        stats->memory_bytes = end->memory_bytes;
    }
}

static void release_init(void)
{
    cleanup_close(&native.init_socket);
    native.init_socket = -1;
}

const struct backend backend_native = {
    .setup = setup,
    .prepare = prepare,
    .start = start,
    .kill = kill_init,
    .kill_retry_us = INIT_GRACE_US,
    .cpu_us = cpu_us,
    .finish = finish,
    .release = release_init,
    .reset = collect_sockets,
};
