/*
 * canceller: repeats sandbox_cancel for as long as an executor runs a step of an aborted job.
 *
 * One call is not enough.  Between an executor taking a step and the start of its run, sandbox_cancel finds nothing to
 * cancel.
 */
#include "worker/worker_internal.h"

#define CANCEL_AGAIN_US 5000u

void *canceller_main(void *context)
{
    struct worker *worker = context;

    lock_guard(&worker->lock);
    while (worker->phase != WORKER_STOPPING) {
        bool any = false;
        for (uint32_t i = 0; i < worker->executors_len; i++) {
            const struct executor *executor = &worker->executors[i];
            if (executor->job == NULL || executor->job->end == JOB_COMPLETE)
                continue;
            any = true;
            if (executor->slot != NULL)
                sandbox_cancel(executor->slot);
        }
        if (any)
            (void)cond_wait_for(&worker->job_aborted, &worker->lock, CANCEL_AGAIN_US);
        else
            cond_wait(&worker->job_aborted, &worker->lock);
    }
    return NULL;
}
