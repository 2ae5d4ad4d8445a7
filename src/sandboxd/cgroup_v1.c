/*
 * cgroup_v1: the parts of cgroup.h that only v1 needs.  Its controllers have a hierarchy each, and a process is in one
 * group of every hierarchy.  Documentation/admin-guide/cgroup-v1/ describes the files.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandboxd/cgroup_file.h"
#include "sandboxd/cgroup_internal.h"

/* One part in so many of a run's memory is for the buffers of internet sockets. */
#define SOCKETS_SHARE 8u

int cgroup_v1_tree_open(struct cgroup *tree, struct error *err)
{
    static const char *const names[CGROUP_CONTROLLERS] = { "memory", "pids", "cpuacct", "cpu", "blkio" };
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        struct cgroup_hierarchy hierarchy;
        bool is_mounted = cgroup_hierarchy_open(names[i], &hierarchy) == 0;
        if (!is_mounted && i >= CGROUP_RUN_CONTROLLERS)
            continue;
        if (!is_mounted)
            return error_set(err, ERROR_SETUP, errno,
                             "this host mounts no cgroup controller '%s'; boot with cgroup v2 "
                             "(systemd.unified_cgroup_hierarchy=1) or mount it below /sys/fs/cgroup",
                             names[i]);
        cgroup_remove_stale_trees(hierarchy.own);
        int *parent = &hierarchy.own;
        int result = cgroup_dir_open(*parent, tree->name, &tree->dirs[i], err);
        if (result < 0 && !hierarchy.own_is_top) {
            parent = &hierarchy.top;
            result = cgroup_dir_open(*parent, tree->name, &tree->dirs[i], err);
        }
        if (result == 0)
            tree->parents[i] = take_fd(parent);
        cgroup_hierarchy_close(&hierarchy);
        if (result < 0)
            return error_within(err, "cgroup v1 controller %s", names[i]);
    }
    tree->mode = CGROUP_V1;
    return 0;
}

static bool is_same_dir(int one, int other)
{
    struct stat a, b;
    return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int cgroup_v1_shared_open(const struct cgroup *slot, struct cgroup_shared *ret, struct error *err)
{
    struct cgroup group;
    cgroup_init(slot, &group);
    (void)snprintf(group.name, sizeof group.name, "runs");
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        /* No run has a group in the last ones.  If two are one hierarchy, the run's own memory group is in it. */
        if (i >= CGROUP_RUN_CONTROLLERS || is_same_dir(slot->dirs[i], slot->dirs[CGROUP_MEMORY]))
            group.parents[i] = -1;
    if (cgroup_make(slot, &group, err) < 0)
        return -1;
    for (int i = 0; i < CGROUP_RUN_CONTROLLERS; i++) {
        ret->dirs[i] = group.dirs[i];
        if (group.dirs[i] >= 0 && (ret->tasks[i] = cgroup_file_open(group.dirs[i], "tasks", O_WRONLY, err)) < 0)
            return error_within(err, "prepare cgroup %s/runs", slot->name);
    }
    /*
     * If it is the hierarchy of cpuacct too, slot and runs are below the slot's group anyway.  A real-time process has
     * no weight, and the kernel does not let it join.
     */
    int weight = slot->dirs[CGROUP_CPU_WEIGHT], policy = sched_getscheduler(0);
    if (weight >= 0 && policy != SCHED_FIFO && policy != SCHED_RR && !is_same_dir(weight, slot->dirs[CGROUP_CPU]) &&
        (ret->inits = cgroup_file_open(weight, "tasks", O_WRONLY, err)) < 0)
        return error_within(err, "prepare cgroup %s", slot->name);
    if (ret->dirs[CGROUP_PIDS] >= 0)
        ret->pids = openat(ret->dirs[CGROUP_PIDS], "pids.events", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (ret->dirs[CGROUP_CPU] >= 0 &&
        (ret->cpu = cgroup_file_open(ret->dirs[CGROUP_CPU], "cpuacct.usage", O_RDONLY, err)) < 0)
        return error_within(err, "prepare cgroup %s/runs", slot->name);
    return 0;
}

/* An eventfd that fires when memory runs out.  -1 where the kernel has none; the count at the end remains then. */
static int open_oom_event(int memory_dir, int control)
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

int cgroup_v1_run_open(struct cgroup_run *run, struct error *err)
{
    const struct cgroup_shared *shared = run->shared;
    const int *dirs = run->group.dirs;
    if (shared->cpu < 0 && (run->cpu = cgroup_file_open(dirs[CGROUP_CPU], "cpuacct.usage", O_RDONLY, err)) < 0)
        return -1;
    for (int i = 0; i < CGROUP_RUN_CONTROLLERS; i++)
        if (shared->tasks[i] < 0 && (run->tasks[i] = cgroup_file_open(dirs[i], "tasks", O_WRONLY, err)) < 0)
            return -1;
    run->oom_event = open_oom_event(dirs[CGROUP_MEMORY], run->oom);
    return 0;
}

static int limit_memory(int dir, uint64_t bytes, struct error *err)
{
    /* memsw is memory and swap together; the same value for both means no swap. */
    static int has_swap = -1; /* the kernel accounts swap in all groups or in none */
    if (has_swap < 0)
        has_swap = faccessat(dir, "memory.memsw.limit_in_bytes", W_OK, 0) == 0;
    if (cgroup_file_write(dir, "memory.limit_in_bytes", bytes, err) < 0) {
        /* EINVAL: the memory limit may not exceed memsw, which still has an earlier value.  Raise memsw first. */
        if (err->os != EINVAL || !has_swap || cgroup_file_write(dir, "memory.memsw.limit_in_bytes", bytes, err) < 0)
            return -1;
        return cgroup_file_write(dir, "memory.limit_in_bytes", bytes, err);
    }
    if (has_swap)
        return cgroup_file_write(dir, "memory.memsw.limit_in_bytes", bytes, err);
    return cgroup_file_write(dir, "memory.swappiness", 0, err);
}

/*
 * v1 counts the buffers of internet sockets apart from all other memory, and only in groups that have a limit for them.
 * So they get a share of the run's limit.  Sends wait or fail when it is used up.
 */
int cgroup_v1_run_limit(struct cgroup_run *run, const struct limits *limits, struct error *err)
{
    struct cgroup_shared *shared = run->shared;
    int memory = run->group.dirs[CGROUP_MEMORY];
    uint64_t sockets_bytes = run->has_network ? limits->memory_bytes / SOCKETS_SHARE : 0;
    if (limit_memory(memory, limits->memory_bytes - sockets_bytes, err) < 0)
        return -1;
    /* ENOENT: a kernel that does not count the buffers of sockets. */
    if (run->has_network && cgroup_file_write(memory, "memory.kmem.tcp.limit_in_bytes", sockets_bytes, err) < 0 &&
        err->os != ENOENT)
        return -1;
    if (shared->dirs[CGROUP_PIDS] < 0)
        return cgroup_file_write(run->group.dirs[CGROUP_PIDS], "pids.max", limits->processes, err);
    if (shared->processes == limits->processes)
        return 0;
    shared->processes = 0; /* unknown if the write fails */
    if (cgroup_file_write(shared->dirs[CGROUP_PIDS], "pids.max", limits->processes, err) < 0)
        return -1;
    shared->processes = limits->processes;
    return 0;
}

uint64_t cgroup_v1_run_sockets_bytes(const struct cgroup_run *run)
{
    struct error ignored;
    auto_close int peak =
        cgroup_file_open(run->group.dirs[CGROUP_MEMORY], "memory.kmem.tcp.max_usage_in_bytes", O_RDONLY, &ignored);
    return peak < 0 ? 0 : cgroup_fd_number(peak, NULL);
}
