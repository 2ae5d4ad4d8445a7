/*
 * cgroup: groups that limit, measure and end runs; v2 or v1 behind one interface.
 *
 *   tree   one of ours per launcher: evalx-PID-START below the group this process lives in
 *          (v2: below the root where that group has other processes in it and so cannot have children).
 *   slot   tree/slot-N: the slot's own processes.  v2: in its child "keeper", because a v2 group with limits on its
 *          children may hold no process itself.
 *   run    slot-N/run-K: one program and its children.  Made ahead and used once, because a used memory group
 *          keeps a false peak (v2 can reset it only from 6.12).  v1 has one only in the memory hierarchy.
 *   runs   v1, slot-N/runs in the others: of all runs of the slot, one after the other.  What is counted there (CPU
 *          time, refused processes) only grows, so a run's part is a difference.
 *
 * Root side only.  A group that cannot be removed yet is tried again later, never leaked silently.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sandbox/protocol.h"

enum cgroup_version { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };

/* v1 has a hierarchy each (two may be the same one); v2 uses only the first place. */
enum cgroup_controller { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_CONTROLLERS };

struct cgroup {
    enum cgroup_version version;
    int parents[CGROUP_CONTROLLERS]; /* where the group's folder stands; borrowed */
    int dirs[CGROUP_CONTROLLERS];    /* the group's own folder; -1 where unused */
    char name[48];
};

/* v2, where the tree stands in the group we were started in: the child of the tree that we and the worker live in. */
#define CGROUP_MAIN "main"

/* Finds the hierarchies, removes what dead launchers left, makes the tree and moves this process out of the way. */
int cgroup_tree_open(struct cgroup *tree, struct error *err);
/* Kills everything below but who lives in CGROUP_MAIN, who goes back to where the tree stands; removes the tree.
 * `wait_ms` bounds it.  Returns -1 if something stayed. */
int cgroup_tree_close(struct cgroup *tree, unsigned wait_ms);

int cgroup_slot_open(const struct cgroup *tree, uint32_t slot, struct cgroup *ret, struct error *err);
/* The calling process becomes a member (the slot's first process, before it makes others). */
int cgroup_slot_enter(const struct cgroup *slot, struct error *err);
/* Kills every process in the slot and its runs, removes all groups.  Returns -1 if something stayed. */
int cgroup_slot_close(struct cgroup *slot, unsigned wait_ms);

/* "runs" of a slot. */
struct cgroup_runs {
    int dirs[CGROUP_CONTROLLERS]; /* -1: each run has its own */
    int tasks[CGROUP_CONTROLLERS];
    int usage, pids;
    uint64_t processes; /* the limit that is set; 0: none yet */
};

/* In the slot's process, once, before its first run; for as long as it lives. */
int cgroup_runs_open(const struct cgroup *slot, struct cgroup_runs *ret, struct error *err);

struct cgroup_run {
    struct cgroup group;
    struct cgroup_runs *runs;
    int tasks[CGROUP_CONTROLLERS]; /* v1: "tasks" of each hierarchy, to enter by writing "0"; -1 where unused */
    /* Opened ahead, because opening is most of the cost of reading: */
    int usage;              /* CPU time: cpuacct.usage or cpu.stat */
    int peak;               /* memory.max_usage_in_bytes or memory.peak */
    int oom;                /* memory.oom_control or memory.events: oom_kill */
    int pids;               /* pids.events: max */
    int oom_event;          /* v1: an eventfd that fires when memory runs out; -1 on v2 */
    uint64_t cpu_before_us; /* counted when the run began */
    uint32_t notify_before;
};

int cgroup_run_open(const struct cgroup *slot, struct cgroup_runs *runs, uint64_t sequence, struct cgroup_run *ret,
                    struct error *err);
/* Before the program starts. */
int cgroup_run_limit(struct cgroup_run *run, const struct limits *limits, struct error *err);
/* v1, in the child between clone and exec: system calls only.  0 or errno.  v2 is entered by CLONE_INTO_CGROUP. */
int cgroup_run_enter(const struct cgroup_run *run);
/* The run begins: what has been counted so far is not its own. */
void cgroup_run_begin(struct cgroup_run *run);
uint64_t cgroup_run_cpu_us(const struct cgroup_run *run);
uint32_t cgroup_run_oom_kills(const struct cgroup_run *run);
/* Fills cpu_us, memory_bytes, oom_kills, processes_denied. */
void cgroup_run_facts(const struct cgroup_run *run, struct run_stats *stats);
/* Closes and removes; the run's processes have ended.  -1 with errno EBUSY: call again later. */
int cgroup_run_close(struct cgroup_run *run);
