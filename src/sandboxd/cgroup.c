/*
 * cgroup: the life of the groups: the launcher's tree, its slots, their runs.
 *
 * A tree is named evalx-PIDNS-PID-START (inode of the pid namespace, process id, start time).  By this name the next
 * launcher can tell the tree of a dead launcher from a live neighbour's, even where several pid namespaces share the
 * host's hierarchy.
 */
#include "sandboxd/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandboxd/cgroup_detect.h"
#include "sandboxd/cgroup_file.h"
#include "sandboxd/cgroup_internal.h"

/* The files with the memory figures of a run. */
static const struct {
    const char *peak, *oom;
} memory_files[] = {
    [CGROUP_V1] = { "memory.max_usage_in_bytes", "memory.oom_control" },
    [CGROUP_V2] = { "memory.peak", "memory.events" },
};

static int controllers(const struct cgroup *group)
{
    return group->mode == CGROUP_V1 ? CGROUP_CONTROLLERS : group->mode == CGROUP_V2 ? 1 : 0;
}

static void pause_ms(long ms)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/* ---- one group ---- */

void cgroup_init(const struct cgroup *parent, struct cgroup *group)
{
    memset(group, 0, sizeof *group);
    group->mode = parent->mode;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        group->dirs[i] = -1;
        group->parents[i] = parent->dirs[i];
    }
}

static void close_dirs(struct cgroup *group)
{
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        cleanup_close(&group->dirs[i]);
        group->dirs[i] = -1;
    }
}

/* -1 with the errno of the last folder that remained. */
static int remove_dirs(struct cgroup *group)
{
    int os = 0;
    for (int i = 0; i < controllers(group); i++)
        if (group->parents[i] >= 0 && unlinkat(group->parents[i], group->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
            os = errno;
    errno = os;
    return os == 0 ? 0 : -1;
}

int cgroup_dir_open(int parent, const char *name, int *ret_dir, struct error *err)
{
    /* EEXIST: two controllers of one v1 hierarchy, or a crashed slot's group.  Both can be used. */
    if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
        return error_set(err, ERROR_SANDBOX, errno, "make cgroup %s", name);
    int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0) {
        int os = errno;
        (void)unlinkat(parent, name, AT_REMOVEDIR);
        return error_set(err, ERROR_SANDBOX, os, "open cgroup %s", name);
    }
    *ret_dir = dir;
    return 0;
}

int cgroup_make(const struct cgroup *parent, struct cgroup *group, struct error *err)
{
    for (int i = 0; i < controllers(group); i++)
        if (group->parents[i] >= 0 && cgroup_dir_open(parent->dirs[i], group->name, &group->dirs[i], err) < 0) {
            close_dirs(group);
            (void)remove_dirs(group);
            return -1;
        }
    return 0;
}

/* ---- the tree ---- */

/* Field 22 of /proc/PID/stat, counted from the ")" that ends the name; 0 if there is no such process. */
static uint64_t start_time(uint64_t pid)
{
    char path[40], content[1024];
    (void)snprintf(path, sizeof path, "/proc/%" PRIu64 "/stat", pid);
    if (cgroup_file_read(AT_FDCWD, path, content, sizeof content) < 0)
        return 0;
    const char *at = strrchr(content, ')');
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at, ' ');
        if (at != NULL)
            at++;
    }
    uint64_t value = 0;
    for (; at != NULL && *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    return value;
}

static uint64_t pid_namespace(void)
{
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

void cgroup_remove_stale_trees(int parent)
{
    int listing = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = listing < 0 ? NULL : fdopendir(listing);
    if (entries == NULL) {
        cleanup_close(&listing);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(entries)) != NULL) {
        uint64_t space, pid, start;
        if (sscanf(entry->d_name, "evalx-%" SCNu64 "-%" SCNu64 "-%" SCNu64, &space, &pid, &start) != 3)
            continue;
        if (space != pid_namespace() || start_time(pid) == start)
            continue;
        auto_close int stale = openat(parent, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (stale < 0)
            continue;
        (void)cgroup_clear_children(stale, NULL);
        (void)unlinkat(parent, entry->d_name, AT_REMOVEDIR); /* if it is busy, the next start tries again */
    }
    (void)closedir(entries);
}

int cgroup_tree_open(struct cgroup *tree, struct error *err)
{
    memset(tree, 0, sizeof *tree);
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        tree->dirs[i] = tree->parents[i] = -1;
    (void)snprintf(tree->name, sizeof tree->name, "evalx-%" PRIu64 "-%d-%" PRIu64, pid_namespace(), (int)getpid(),
                   start_time((uint64_t)getpid()));
    struct cgroup_hierarchy hierarchy;
    if (cgroup_detect_mode(&hierarchy) != CGROUP_V2)
        return cgroup_v1_tree_open(tree, err);
    int result = cgroup_v2_tree_open(tree, &hierarchy, err);
    cgroup_hierarchy_close(&hierarchy);
    return result;
}

int cgroup_tree_clear(const struct cgroup *tree, unsigned wait_ms)
{
    for (unsigned waited = 0;; waited += 5) {
        unsigned remaining = 0;
        for (int i = 0; i < controllers(tree); i++)
            if (tree->dirs[i] >= 0)
                remaining += cgroup_clear_children(tree->dirs[i], CGROUP_MAIN);
        if (remaining == 0)
            return 0;
        if (waited >= wait_ms)
            return -1;
        pause_ms(5);
    }
}

int cgroup_tree_close(struct cgroup *tree, unsigned wait_ms)
{
    for (unsigned waited = 0;; waited += 5) {
        int result = cgroup_tree_clear(tree, 0);
        if (tree->mode == CGROUP_V2)
            cgroup_v2_tree_leave(tree);
        if (remove_dirs(tree) == 0 && result == 0)
            return 0;
        if (waited >= wait_ms)
            return -1;
        pause_ms(5);
    }
}

/* ---- a slot ---- */

int cgroup_slot_open(const struct cgroup *tree, uint32_t slot, struct cgroup *ret, struct error *err)
{
    cgroup_init(tree, ret);
    (void)snprintf(ret->name, sizeof ret->name, "slot-%" PRIu32, slot);
    if (cgroup_make(tree, ret, err) < 0)
        return -1;
    if (ret->mode == CGROUP_V2 && cgroup_v2_slot_open(ret, err) < 0)
        return error_within(err, "prepare cgroup %s", ret->name);
    return 0;
}

int cgroup_slot_enter(const struct cgroup *slot, struct error *err)
{
    if (slot->mode == CGROUP_V2)
        return cgroup_file_write_text(slot->parents[0], CGROUP_SLOTS "/cgroup.procs", "0", err);
    for (int i = 0; i < CGROUP_RUN_CONTROLLERS; i++)
        if (cgroup_file_write_text(slot->dirs[i], "tasks", "0", err) < 0)
            return -1;
    return 0;
}

int cgroup_slot_close(struct cgroup *slot, unsigned wait_ms)
{
    int result = 0;
    for (unsigned waited = 0;; waited += 2) {
        unsigned remaining = 0;
        for (int i = 0; i < controllers(slot); i++) {
            if (slot->dirs[i] < 0)
                continue;
            remaining += cgroup_kill_members(slot->dirs[i]);
            remaining += cgroup_clear_children(slot->dirs[i], NULL);
        }
        result = remaining == 0 ? remove_dirs(slot) : -1;
        if (result == 0 || waited >= wait_ms)
            break;
        pause_ms(2);
    }
    close_dirs(slot);
    return result;
}

int cgroup_shared_open(const struct cgroup *slot, struct cgroup_shared *ret, struct error *err)
{
    *ret = (struct cgroup_shared){ .cpu = -1, .pids = -1, .inits = -1 };
    for (int i = 0; i < CGROUP_RUN_CONTROLLERS; i++)
        ret->dirs[i] = ret->tasks[i] = -1;
    if (slot->mode == CGROUP_V2)
        return cgroup_dir_open(slot->dirs[0], "inits", &ret->inits, err);
    return slot->mode == CGROUP_V1 ? cgroup_v1_shared_open(slot, ret, err) : 0;
}

/* ---- a run ---- */

int cgroup_run_open(const struct cgroup *slot, struct cgroup_shared *shared, uint64_t sequence, struct cgroup_run *ret,
                    struct error *err)
{
    memset(ret, 0, sizeof *ret);
    cgroup_init(slot, &ret->group);
    ret->shared = shared;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        if (i >= CGROUP_RUN_CONTROLLERS || shared->dirs[i] >= 0)
            ret->group.parents[i] = -1;
    for (int i = 0; i < CGROUP_RUN_CONTROLLERS; i++)
        ret->tasks[i] = -1;
    ret->cpu = ret->peak = ret->oom = ret->pids = ret->oom_event = -1;
    (void)snprintf(ret->group.name, sizeof ret->group.name, "run-%" PRIu64, sequence);
    enum cgroup_mode mode = ret->group.mode;
    if (mode == CGROUP_NONE)
        return 0;
    if (cgroup_make(slot, &ret->group, err) < 0)
        return -1;

    const int *dirs = ret->group.dirs;
    const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW;
    /* An old kernel may lack these three (`evalx check` reports it); their figures are 0 then. */
    ret->peak = openat(dirs[CGROUP_MEMORY], memory_files[mode].peak, flags);
    ret->oom = openat(dirs[CGROUP_MEMORY], memory_files[mode].oom, flags);
    if (shared->pids < 0)
        ret->pids = openat(dirs[mode == CGROUP_V2 ? 0 : CGROUP_PIDS], "pids.events", flags);
    int result = mode == CGROUP_V2 ? ret->cpu = cgroup_file_open(dirs[0], "cpu.stat", O_RDONLY, err)
                                   : cgroup_v1_run_open(ret, err);
    if (result >= 0)
        return 0;
    (void)cgroup_run_close(ret);
    return error_within(err, "prepare cgroup %s", ret->group.name);
}

int cgroup_run_limit(struct cgroup_run *run, const struct limits *limits, bool has_network, struct error *err)
{
    run->has_network = has_network;
    switch (run->group.mode) {
    case CGROUP_NONE:
        return 0;
    case CGROUP_V1:
        return cgroup_v1_run_limit(run, limits, err);
    case CGROUP_V2:
        return cgroup_v2_run_limit(run, limits, err);
    }
    return 0;
}

int cgroup_init_enter(const struct cgroup_run *run)
{
    bool joins = run->group.mode == CGROUP_V1 && run->shared->inits >= 0;
    return joins && write(run->shared->inits, "0", 1) < 0 ? errno : 0;
}

int cgroup_run_enter(const struct cgroup_run *run)
{
    for (int i = 0; i < CGROUP_RUN_CONTROLLERS; i++) {
        int tasks = run->tasks[i] >= 0 ? run->tasks[i] : run->shared->tasks[i];
        if (tasks >= 0 && write(tasks, "0", 1) < 0)
            return errno;
    }
    return 0;
}

static uint64_t read_cpu_us(const struct cgroup_run *run)
{
    int file = run->cpu >= 0 ? run->cpu : run->shared->cpu;
    if (file < 0)
        return 0;
    return run->group.mode == CGROUP_V2 ? cgroup_fd_number(file, "usage_usec") : cgroup_fd_number(file, NULL) / 1000;
}

/* How often a process was denied: by the run's group or, v1, by the shared one. */
static uint32_t read_denied(const struct cgroup_run *run)
{
    int file = run->pids >= 0 ? run->pids : run->shared->pids;
    return file < 0 ? 0 : (uint32_t)cgroup_fd_number(file, "max");
}

void cgroup_run_begin(struct cgroup_run *run)
{
    run->cpu_us_at_begin = read_cpu_us(run);
    if (run->pids < 0) /* a group of its own starts at 0 */
        run->denied_at_begin = read_denied(run);
}

uint64_t cgroup_run_cpu_us(const struct cgroup_run *run)
{
    uint64_t cpu_us = read_cpu_us(run);
    return cpu_us > run->cpu_us_at_begin ? cpu_us - run->cpu_us_at_begin : 0;
}

uint32_t cgroup_run_oom_kills(const struct cgroup_run *run)
{
    return run->oom < 0 ? 0 : (uint32_t)cgroup_fd_number(run->oom, "oom_kill");
}

size_t cgroup_run_tasks(const struct cgroup_run *run, pid_t ret[], size_t max)
{
    char content[4096];
    size_t len = 0;
    const char *name = run->group.mode == CGROUP_V2 ? "cgroup.threads" : "tasks";
    if (cgroup_file_read(run->group.dirs[CGROUP_MEMORY], name, content, sizeof content) < 0)
        return 0;
    for (char *at = content, *end; len < max; at = end) {
        long id = strtol(at, &end, 10);
        if (*end != '\n') /* the end, or a number that was cut */
            break;
        ret[len++] = (pid_t)id;
    }
    return len;
}

void cgroup_run_stats(const struct cgroup_run *run, struct run_stats *stats)
{
    if (run->group.mode == CGROUP_NONE)
        return;
    stats->cpu_us = cgroup_run_cpu_us(run);
    stats->memory_bytes = run->peak < 0 ? 0 : cgroup_fd_number(run->peak, NULL);
    if (run->has_network && run->group.mode == CGROUP_V1)
        stats->memory_bytes += cgroup_v1_run_sockets_bytes(run);
    stats->oom_kills = cgroup_run_oom_kills(run);
    uint32_t denied = read_denied(run);
    stats->processes_denied = denied > run->denied_at_begin ? denied - run->denied_at_begin : 0;
}

int cgroup_run_close(struct cgroup_run *run)
{
    for (int i = 0; i < CGROUP_RUN_CONTROLLERS; i++) {
        cleanup_close(&run->tasks[i]);
        run->tasks[i] = -1;
    }
    int *const files[] = { &run->cpu, &run->peak, &run->oom, &run->pids, &run->oom_event };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        cleanup_close(files[i]);
        *files[i] = -1;
    }
    close_dirs(&run->group);
    return remove_dirs(&run->group);
}
