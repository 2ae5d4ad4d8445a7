/*
 * wait_time: how long a run was ready to run and had no processor, because others had them.  The wall limit does not
 * count this time.
 *
 * The slot looks at init and the tasks of the run's group every WAIT_SAMPLE_US.  The kernel counts for each task how
 * long it was ready and did not run (schedstat), and adds a wait when it ends.  A wait that lasts is seen by a task
 * that is ready at two samples and has not run between them.
 *
 * Between two samples the run has waited as long as the task that waited longest, but not while it used the processors
 * itself.  So a program whose threads wait only for each other gains at most the CPU time that they use for it, and the
 * CPU limit bounds that.  The waiting of a task that begins and ends between two samples is not seen, nor is the last
 * wait before it has lasted for two samples.  Without schedstat no run has waited.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandboxd/cgroup.h"

#define WAIT_SAMPLE_US 20000u
#define WAIT_TASKS_MAX 64u /* of a run with more, the others are not sampled */

/* A task at a sample. */
struct wait_task {
    pid_t id;
    bool is_ready;
    uint64_t ran_ns, waited_us; /* since it exists */
    uint64_t counted_us;        /* of its present wait, which is not in waited_us yet */
};

struct wait_time {
    uint64_t waited_us;
    uint64_t sampled_us;     /* time of the last sample */
    uint64_t settled_us;     /* waiting before this time is in waited_us, or was none */
    uint64_t settled_cpu_us; /* CPU time that the run had used then */
    bool is_partial;         /* the last sample may have left out tasks */
    size_t tasks_len;
    struct wait_task tasks[WAIT_TASKS_MAX];
};

/* Brings *wait up to date.  The run began at begun_us, has used cpu_us by now_us, and may use so many processors. */
void wait_time_sample(struct wait_time *wait, const struct cgroup_run *run, pid_t init, uint64_t begun_us,
                      uint64_t now_us, uint64_t cpu_us, unsigned processors);

/* How long a task waited since the last sample, `passed_us` ago.  Fills in now->counted_us. */
uint64_t wait_time_of_task(const struct wait_task *before, struct wait_task *now, uint64_t passed_us);
/* Adds the longest waiting of a task since the last sample. */
void wait_time_add(struct wait_time *wait, uint64_t longest_us, uint64_t begun_us, uint64_t now_us, uint64_t cpu_us,
                   unsigned processors);
