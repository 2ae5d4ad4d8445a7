/*
 * cgroup: the groups of a slot and of its runs.
 *
 * Reading the figures: v2 cpu.stat/usage_usec, memory.peak, memory.events/oom_kill, pids.events/max
 * (Documentation/admin-guide/cgroup-v2.rst); v1 cpuacct.usage (ns), memory.max_usage_in_bytes,
 * memory.oom_control/oom_kill, pids.events/max (Documentation/admin-guide/cgroup-v1/).
 */
#include "sandboxd/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandboxd/cgroup_file.h"

static int controllers(const struct cgroup *group)
{
    return group->version == CGROUP_V1 ? CGROUP_CONTROLLERS : group->version == CGROUP_V2 ? 1 : 0;
}

static void group_init(const struct cgroup *parent, struct cgroup *group)
{
    memset(group, 0, sizeof *group);
    group->version = parent->version;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        group->dirs[i] = -1;
        group->parents[i] = parent->dirs[i];
    }
}

static void group_close(struct cgroup *group)
{
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        if (group->dirs[i] >= 0)
            (void)close(group->dirs[i]);
        group->dirs[i] = -1;
    }
}

/* -1 with errno of the last folder that stayed. */
static int group_remove(struct cgroup *group)
{
    int os = 0;
    for (int i = 0; i < controllers(group); i++)
        if (group->parents[i] >= 0 && unlinkat(group->parents[i], group->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
            os = errno;
    errno = os;
    return os == 0 ? 0 : -1;
}

/* Only where its parent is given. */
static int group_make(const struct cgroup *parent, struct cgroup *group, struct error *err)
{
    for (int i = 0; i < controllers(group); i++) {
        if (group->parents[i] < 0)
            continue;
        /* EEXIST: two controllers of one v1 hierarchy, or what a crashed slot left; both are fine */
        if (mkdirat(parent->dirs[i], group->name, 0755) < 0 && errno != EEXIST) {
            error_set(err, ERROR_SANDBOX, errno, "make cgroup %s", group->name);
            goto undo;
        }
        group->dirs[i] = openat(parent->dirs[i], group->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (group->dirs[i] < 0) {
            error_set(err, ERROR_SANDBOX, errno, "open cgroup %s", group->name);
            goto undo;
        }
    }
    return 0;

undo:
    group_close(group);
    (void)group_remove(group);
    return -1;
}

int cgroup_slot_open(const struct cgroup *tree, uint32_t slot, struct cgroup *ret, struct error *err)
{
    group_init(tree, ret);
    (void)snprintf(ret->name, sizeof ret->name, "slot-%" PRIu32, slot);
    if (group_make(tree, ret, err) < 0)
        return -1;
    if (ret->version == CGROUP_V2 &&
        ((mkdirat(ret->dirs[0], "keeper", 0755) < 0 && errno != EEXIST) ||
         cgroup_file_write_text(ret->dirs[0], "cgroup.subtree_control", "+memory +pids", err) < 0))
        return error_within(err, "prepare cgroup %s", ret->name);
    return 0;
}

int cgroup_slot_enter(const struct cgroup *slot, struct error *err)
{
    if (slot->version == CGROUP_V2)
        return cgroup_file_write_text(slot->dirs[0], "keeper/cgroup.procs", "0", err);
    for (int i = 0; i < controllers(slot); i++)
        if (cgroup_file_write_text(slot->dirs[i], "tasks", "0", err) < 0)
            return -1;
    return 0;
}

int cgroup_slot_close(struct cgroup *slot, unsigned wait_ms)
{
    int left = 0;
    for (unsigned waited = 0;; waited += 2) {
        unsigned stayed = 0;
        for (int i = 0; i < controllers(slot); i++) {
            if (slot->dirs[i] < 0)
                continue;
            stayed += cgroup_kill_members(slot->dirs[i]);
            stayed += cgroup_clear_children(slot->dirs[i], NULL);
        }
        left = stayed == 0 ? group_remove(slot) : -1;
        if (left == 0 || waited >= wait_ms)
            break;
        (void)nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    }
    group_close(slot);
    return left;
}

/* v1 tells of memory running out by an eventfd; where that is not to be had, the count at the end remains. */
static int listen_for_oom(int memory_dir, int control)
{
    auto_close int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0 || control < 0)
        return -1;
    char text[32];
    (void)snprintf(text, sizeof text, "%d %d", event, control);
    struct error ignored;
    if (cgroup_file_write_text(memory_dir, "cgroup.event_control", text, &ignored) < 0)
        return -1;
    return take_fd(&event);
}

static bool is_same(int one, int other)
{
    struct stat a, b;
    return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int cgroup_runs_open(const struct cgroup *slot, struct cgroup_runs *ret, struct error *err)
{
    *ret = (struct cgroup_runs){ .usage = -1, .pids = -1 };
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        ret->dirs[i] = ret->tasks[i] = -1;
    if (slot->version != CGROUP_V1)
        return 0;
    struct cgroup group;
    group_init(slot, &group);
    (void)snprintf(group.name, sizeof group.name, "runs");
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        if (is_same(slot->dirs[i], slot->dirs[CGROUP_MEMORY])) /* a process is in one group of a hierarchy */
            group.parents[i] = -1;
    if (group_make(slot, &group, err) < 0)
        return -1;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        ret->dirs[i] = group.dirs[i];
        if (group.dirs[i] >= 0 && (ret->tasks[i] = cgroup_file_open(group.dirs[i], "tasks", O_WRONLY, err)) < 0)
            return error_within(err, "prepare cgroup %s/runs", slot->name);
    }
    if (ret->dirs[CGROUP_PIDS] >= 0)
        ret->pids = openat(ret->dirs[CGROUP_PIDS], "pids.events", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (ret->dirs[CGROUP_CPU] >= 0 &&
        (ret->usage = cgroup_file_open(ret->dirs[CGROUP_CPU], "cpuacct.usage", O_RDONLY, err)) < 0)
        return error_within(err, "prepare cgroup %s/runs", slot->name);
    return 0;
}

static int open_files_v1(struct cgroup_run *run, struct error *err)
{
    const struct cgroup_runs *runs = run->runs;
    int cpu = run->group.dirs[CGROUP_CPU];
    if (runs->usage < 0 && (run->usage = cgroup_file_open(cpu, "cpuacct.usage", O_RDONLY, err)) < 0)
        return -1;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        if (runs->tasks[i] < 0 && (run->tasks[i] = cgroup_file_open(run->group.dirs[i], "tasks", O_WRONLY, err)) < 0)
            return -1;
    run->oom_event = listen_for_oom(run->group.dirs[CGROUP_MEMORY], run->oom);
    return 0;
}

int cgroup_run_open(const struct cgroup *slot, struct cgroup_runs *runs, uint64_t sequence, struct cgroup_run *ret,
                    struct error *err)
{
    memset(ret, 0, sizeof *ret);
    group_init(slot, &ret->group);
    ret->runs = runs;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        ret->tasks[i] = -1;
        if (runs->dirs[i] >= 0)
            ret->group.parents[i] = -1;
    }
    ret->usage = ret->peak = ret->oom = ret->pids = ret->oom_event = -1;
    (void)snprintf(ret->group.name, sizeof ret->group.name, "run-%" PRIu64, sequence);
    if (ret->group.version == CGROUP_NONE)
        return 0;
    if (group_make(slot, &ret->group, err) < 0)
        return -1;

    const int *dirs = ret->group.dirs;
    bool v2 = ret->group.version == CGROUP_V2;
    const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW;
    /* These three may be missing on an old kernel (evalx check says so): their figures are then 0. */
    ret->peak = openat(dirs[CGROUP_MEMORY], v2 ? "memory.peak" : "memory.max_usage_in_bytes", flags);
    ret->oom = openat(dirs[CGROUP_MEMORY], v2 ? "memory.events" : "memory.oom_control", flags);
    if (runs->pids < 0)
        ret->pids = openat(dirs[v2 ? 0 : CGROUP_PIDS], "pids.events", flags);
    int result = v2 ? ret->usage = cgroup_file_open(dirs[0], "cpu.stat", O_RDONLY, err) : open_files_v1(ret, err);
    if (result >= 0)
        return 0;
    (void)cgroup_run_close(ret);
    return error_within(err, "prepare cgroup %s", ret->group.name);
}

/* Does the kernel account swap?  It has the file in all groups or in none, so one is asked, once. */
static bool has_swap_limit(int dir, const char *knob)
{
    static int has = -1;
    if (has < 0)
        has = faccessat(dir, knob, W_OK, 0) == 0;
    return has > 0;
}

static int limit_memory_v1(int dir, uint64_t bytes, struct error *err)
{
    /* Memory and swap together: the same, so no swap.  Absent where the kernel does not account swap. */
    bool has_swap = has_swap_limit(dir, "memory.memsw.limit_in_bytes");
    if (cgroup_file_write(dir, "memory.limit_in_bytes", bytes, err) < 0) {
        /* Never above the two together, which a limit set before keeps low: then that one goes first. */
        if (err->os != EINVAL || !has_swap || cgroup_file_write(dir, "memory.memsw.limit_in_bytes", bytes, err) < 0)
            return -1;
        return cgroup_file_write(dir, "memory.limit_in_bytes", bytes, err);
    }
    if (has_swap)
        return cgroup_file_write(dir, "memory.memsw.limit_in_bytes", bytes, err);
    return cgroup_file_write(dir, "memory.swappiness", 0, err);
}

static int limit_processes_v1(struct cgroup_run *run, uint64_t processes, struct error *err)
{
    struct cgroup_runs *runs = run->runs;
    if (runs->dirs[CGROUP_PIDS] < 0)
        return cgroup_file_write(run->group.dirs[CGROUP_PIDS], "pids.max", processes, err);
    if (runs->processes == processes)
        return 0;
    runs->processes = 0; /* not known, where it fails */
    if (cgroup_file_write(runs->dirs[CGROUP_PIDS], "pids.max", processes, err) < 0)
        return -1;
    runs->processes = processes;
    return 0;
}

int cgroup_run_limit(struct cgroup_run *run, const struct limits *limits, struct error *err)
{
    const int *dirs = run->group.dirs;
    if (run->group.version == CGROUP_V1) {
        if (limit_memory_v1(dirs[CGROUP_MEMORY], limits->memory_bytes, err) < 0)
            return -1;
        return limit_processes_v1(run, limits->processes, err);
    }
    if (run->group.version == CGROUP_V2) {
        if (cgroup_file_write(dirs[0], "memory.max", limits->memory_bytes, err) < 0 ||
            cgroup_file_write(dirs[0], "memory.oom.group", 1, err) < 0 ||
            cgroup_file_write(dirs[0], "pids.max", limits->processes, err) < 0)
            return -1;
        if (has_swap_limit(dirs[0], "memory.swap.max"))
            return cgroup_file_write(dirs[0], "memory.swap.max", 0, err);
    }
    return 0;
}

int cgroup_run_enter(const struct cgroup_run *run)
{
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        int tasks = run->tasks[i] >= 0 ? run->tasks[i] : run->runs->tasks[i];
        if (tasks >= 0 && write(tasks, "0", 1) < 0)
            return errno;
    }
    return 0;
}

static uint64_t counted_cpu_us(const struct cgroup_run *run)
{
    int usage = run->usage >= 0 ? run->usage : run->runs->usage;
    if (usage < 0)
        return 0;
    return run->group.version == CGROUP_V2 ? cgroup_fd_number(usage, "usage_usec")
                                           : cgroup_fd_number(usage, NULL) / 1000;
}

static uint32_t counted_refusals(const struct cgroup_run *run)
{
    int pids = run->pids >= 0 ? run->pids : run->runs->pids;
    return pids < 0 ? 0 : (uint32_t)cgroup_fd_number(pids, "max");
}

void cgroup_run_begin(struct cgroup_run *run)
{
    run->cpu_before_us = counted_cpu_us(run);
    if (run->pids < 0) /* in a group of its own none has been refused */
        run->notify_before = counted_refusals(run);
}

uint64_t cgroup_run_cpu_us(const struct cgroup_run *run)
{
    uint64_t counted = counted_cpu_us(run);
    return counted > run->cpu_before_us ? counted - run->cpu_before_us : 0;
}

uint32_t cgroup_run_oom_kills(const struct cgroup_run *run)
{
    return run->oom < 0 ? 0 : (uint32_t)cgroup_fd_number(run->oom, "oom_kill");
}

void cgroup_run_facts(const struct cgroup_run *run, struct run_stats *stats)
{
    if (run->group.version == CGROUP_NONE)
        return;
    stats->cpu_us = cgroup_run_cpu_us(run);
    stats->memory_bytes = run->peak < 0 ? 0 : cgroup_fd_number(run->peak, NULL);
    stats->oom_kills = cgroup_run_oom_kills(run);
    uint32_t notify = counted_refusals(run);
    stats->processes_denied = notify > run->notify_before ? notify - run->notify_before : 0;
}

int cgroup_run_close(struct cgroup_run *run)
{
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        if (run->tasks[i] >= 0)
            (void)close(run->tasks[i]);
        run->tasks[i] = -1;
    }
    int *const own[] = { &run->usage, &run->peak, &run->oom, &run->pids, &run->oom_event };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        cleanup_close(own[i]);
        *own[i] = -1;
    }
    group_close(&run->group);
    return group_remove(&run->group);
}
