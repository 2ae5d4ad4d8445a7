/*
 * cgroup: the groups that limit, measure and kill runs, with one interface for cgroup v1 and v2.
 *
 *   tree     evalx-PIDNS-PID-START, one per supervisor, below the group in which this process was started.
 *            v2: at the top of the hierarchy if that group holds other processes, since it cannot have children then.
 *   slot     tree/slot-N, which holds the slot's own processes.
 *            v2: the inits of its runs are in its child "inits", because a group whose children have limits may hold no
 *            process.  The slot itself is in tree/slots.
 *   run      slot-N/run-K, one program with its children.  Created before the run and used once, because a used memory
 *            group keeps its old peak (v2 can reset it only from Linux 6.12).
 *   weights  tree and slot have groups for the controllers of CPU and I/O too, where there are any.  All slots have
 *            the same weight there.  A slot's inits and runs are in its group, but not the slot's own process: it must
 *            get a processor when it has to check its run.  Runs have no group of their own in these controllers.
 *   shared   v1 only: slot-N/runs in the hierarchies pids and cpuacct, used by the slot's runs one after the other.
 *            There a run has a group of its own only in the memory hierarchy.  The shared counters (CPU time, denied
 *            processes) never decrease, so a run's figures are differences.
 *
 * cgroup_detect.c decides between v1 and v2.  Root side only.  A group that cannot be removed yet is tried again later.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "sandbox/protocol.h"

enum cgroup_mode { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };

/*
 * v1 has a hierarchy for each of them (two may be the same one).  v2 uses only the first element.  The controllers from
 * CGROUP_RUN_CONTROLLERS on divide CPU and I/O between slots, and may be missing.
 */
enum cgroup_controller {
    CGROUP_MEMORY,
    CGROUP_PIDS,
    CGROUP_CPU,
    CGROUP_RUN_CONTROLLERS,
    CGROUP_CPU_WEIGHT = CGROUP_RUN_CONTROLLERS,
    CGROUP_IO_WEIGHT,
    CGROUP_CONTROLLERS
};

struct cgroup {
    enum cgroup_mode mode;
    int parents[CGROUP_CONTROLLERS]; /* folder of the parent group, borrowed; -1 where unused */
    int dirs[CGROUP_CONTROLLERS];    /* folder of the group; -1 where unused */
    char name[48];
};

/* v2: the child of the tree that holds launcher and worker, if the tree is below the group they were started in. */
#define CGROUP_MAIN "main"
/* v2: the child of the tree that holds the slots' own processes. */
#define CGROUP_SLOTS "slots"

/* Detects the mode, removes the trees of dead launchers, makes this launcher's tree and moves launcher and worker. */
int cgroup_tree_open(struct cgroup *tree, struct error *err);
/* Kills all processes of the slots and removes their groups.  Gives up after wait_ms.  -1: a group remained. */
int cgroup_tree_clear(const struct cgroup *tree, unsigned wait_ms);
/* As cgroup_tree_clear; also moves the processes in CGROUP_MAIN back to the parent group and removes the tree. */
int cgroup_tree_close(struct cgroup *tree, unsigned wait_ms);

int cgroup_slot_open(const struct cgroup *tree, uint32_t slot, struct cgroup *ret, struct error *err);
/* Makes the calling process a member: the slot's first process, before it makes others. */
int cgroup_slot_enter(const struct cgroup *slot, struct error *err);
/* Kills all processes of the slot and its runs, removes all groups.  Gives up after wait_ms.  -1: a group remained. */
int cgroup_slot_close(struct cgroup *slot, unsigned wait_ms);

/* The v1 group "runs" of a slot. */
struct cgroup_shared {
    int dirs[CGROUP_RUN_CONTROLLERS]; /* -1: each run has a group of its own in this hierarchy */
    int tasks[CGROUP_RUN_CONTROLLERS];
    int cpu, pids;
    int inits;          /* where inits begin: v1 "tasks" of the slot's CPU weight or -1, v2 the folder of the group */
    uint64_t processes; /* the limit in effect; 0: none yet */
};

/* Called in the slot's process before its first run.  Stays open for the slot's life. */
int cgroup_shared_open(const struct cgroup *slot, struct cgroup_shared *ret, struct error *err);

struct cgroup_run {
    struct cgroup group;
    struct cgroup_shared *shared;
    int tasks[CGROUP_RUN_CONTROLLERS]; /* v1: "tasks" of each hierarchy, entered by writing "0"; -1 where unused */
    /* Opened ahead, because opening is most of the cost of reading.  -1 where the shared group counts. */
    int cpu;                  /* cpuacct.usage or cpu.stat */
    int peak;                 /* memory.max_usage_in_bytes or memory.peak */
    int oom;                  /* memory.oom_control or memory.events */
    int pids;                 /* pids.events */
    int oom_event;            /* v1: an eventfd that fires when memory runs out; -1 on v2 */
    uint64_t cpu_us_at_begin; /* counters at cgroup_run_begin */
    uint32_t denied_at_begin;
    bool has_network;
};

int cgroup_run_open(const struct cgroup *slot, struct cgroup_shared *shared, uint64_t sequence, struct cgroup_run *ret,
                    struct error *err);
/* Before the program starts.  has_network: it may have internet sockets. */
int cgroup_run_limit(struct cgroup_run *run, const struct limits *limits, bool has_network, struct error *err);
/* v1, in the run's first process: it leaves the slot's CPU weight for that of the runs.  0 or errno. */
int cgroup_init_enter(const struct cgroup_run *run);
/* v1, in the child between clone and exec: system calls only.  0 or errno.  v2 is entered by CLONE_INTO_CGROUP. */
int cgroup_run_enter(const struct cgroup_run *run);
/* The run begins: what has been counted up to now is not the program's. */
void cgroup_run_begin(struct cgroup_run *run);
uint64_t cgroup_run_cpu_us(const struct cgroup_run *run);
uint32_t cgroup_run_oom_kills(const struct cgroup_run *run);
/* The first tasks (threads) of the run, at most `max`.  Returns their number. */
size_t cgroup_run_tasks(const struct cgroup_run *run, pid_t ret[], size_t max);
/* Fills cpu_us, memory_bytes, oom_kills and processes_denied. */
void cgroup_run_stats(const struct cgroup_run *run, struct run_stats *stats);
/* Closes and removes the group of a run whose processes have ended.  -1 with errno EBUSY: call again later. */
int cgroup_run_close(struct cgroup_run *run);
