/* worker_internal: the operations on the shared state.  See the header for the lock. */
#include "worker/worker_internal.h"

#include <assert.h>

#include "metrics/metrics.h"

void worker_init_sync(struct worker *worker)
{
    mutex_init(&worker->lock);
    cond_init(&worker->step_ready);
    cond_init(&worker->capacity_freed);
    cond_init(&worker->looked);
    cond_init(&worker->job_ended);
    cond_init(&worker->retry_now);
    cond_init(&worker->heartbeat_due);
    cond_init(&worker->job_aborted);
    cond_init(&worker->progress);
}

void worker_set_phase(struct worker *worker, enum worker_phase phase)
{
    assert(phase > worker->phase);
    worker->phase = phase;
    cond_broadcast(&worker->step_ready);
    cond_broadcast(&worker->capacity_freed);
    cond_broadcast(&worker->looked);
    cond_broadcast(&worker->job_ended);
    cond_broadcast(&worker->retry_now);
    cond_broadcast(&worker->heartbeat_due);
    cond_broadcast(&worker->job_aborted);
    cond_broadcast(&worker->progress);
}

static void announce_steps(struct worker *worker, const struct job *job)
{
    worker->steps_ready += job->turn.ready;
    for (size_t i = 0; i < job->turn.ready && i < worker->executors_len; i++)
        cond_signal(&worker->step_ready);
}

void worker_add_job(struct worker *worker, struct job *job)
{
    struct job **end = &worker->jobs;

    while (*end != NULL)
        end = &(*end)->next;
    *end = job;
    worker->jobs_len++;
    schedule_add(&worker->schedule, &job->turn, job->submission.client, job->submission.priority);
    announce_steps(worker, job);
    if (job->runs_alone && worker->alone == NULL) {
        worker->alone = job;
        worker_begin_alone(worker, false);
    }
    worker_check_end(worker, job);
}

void worker_begin_alone(struct worker *worker, bool now_or_never)
{
    struct job *job = worker->alone;

    if (job == NULL || job->begun || job->end != JOB_COMPLETE || (worker->jobs_len > 1 && !now_or_never))
        return;
    job_begin(job);
    announce_steps(worker, job);
}

bool worker_count_artifact(struct worker *worker, struct job *job, struct compiled *compiled,
                           enum artifact_room *ret_room, uint64_t *ret_bytes)
{
    uint64_t job_max = worker->config->artifacts_job_max;

    *ret_room = artifact_budget_take(&worker->budget, compiled->archive_fd, ret_bytes);
    if (*ret_bytes <= job_max && job->artifact_bytes <= job_max - *ret_bytes) {
        if (*ret_room != ARTIFACT_NO_ROOM)
            job->artifact_bytes += *ret_bytes;
        metrics_artifacts(worker->budget.memory, worker->budget.disk);
        return true;
    }
    if (*ret_room == ARTIFACT_SPILL)
        artifact_budget_spilled(&worker->budget, -1, *ret_bytes);
    else if (*ret_room == ARTIFACT_FITS)
        artifact_budget_drop(&worker->budget, compiled->archive_fd);
    compiled_refuse(compiled, job_max >> 20);
    return false;
}

void worker_remove_job(struct worker *worker, struct job *job)
{
    struct job **at = &worker->jobs;

    assert(job->running == 0 && job->turn.ready == 0);
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    worker->jobs_len--;
    schedule_remove(&worker->schedule, &job->turn);
    for (size_t i = 0; i < job->submission.programs_len; i++)
        artifact_budget_drop(&worker->budget, job->programs[i].archive_fd);
    metrics_artifacts(worker->budget.memory, worker->budget.disk);
    if (worker->alone == job)
        worker->alone = NULL;
    job_free(job);
    worker_begin_alone(worker, false);
    cond_signal(&worker->capacity_freed);
    cond_broadcast(&worker->progress);
}

void worker_check_end(struct worker *worker, struct job *job)
{
    if (job->with_reporter || job->running > 0 || job_is_open(job))
        return;
    assert(job->turn.ready == 0);
    job->with_reporter = true;
    job->report_next = NULL;
    if (worker->reports_first == NULL)
        worker->reports_first = job;
    else
        worker->reports_last->report_next = job;
    worker->reports_last = job;
    cond_signal(&worker->job_ended);
}

void worker_abort_job(struct worker *worker, struct job *job, enum job_end end)
{
    worker->steps_ready -= job_abort(job, end);
    flights_leave(&worker->flights, job);
    for (uint32_t i = 0; i < worker->executors_len; i++)
        if (worker->executors[i].job == job && worker->executors[i].slot != NULL)
            sandbox_cancel(worker->executors[i].slot);
    /* A step that an executor has taken, but whose run has not begun, is left to the canceller. */
    cond_signal(&worker->job_aborted);
    if (job->with_reporter)
        cond_broadcast(&worker->retry_now);
    worker_check_end(worker, job);
}

void worker_abort_all(struct worker *worker, enum job_end end)
{
    for (struct job *job = worker->jobs; job != NULL; job = job->next)
        if (job->end == JOB_COMPLETE && !job->with_reporter)
            worker_abort_job(worker, job, end);
}

void worker_count_busy(struct worker *worker, uint64_t now_us)
{
    worker->busy_us += worker->steps_running * (now_us - worker->busy_counted_us);
    worker->busy_counted_us = now_us;
}

struct store_worker worker_describe(const struct worker *worker, const char **ret_queues)
{
    size_t len = 0;

    for (size_t i = 0; i < worker->queues_len; i++)
        if (worker->queue_images[i] == NULL || worker_image_works(worker, worker->queue_images[i]))
            ret_queues[len++] = worker->queue_names[i];
    ret_queues[len] = NULL;
    struct store_worker description = {
        .slots = worker->slots_open,
        .running = (uint32_t)worker->jobs_len,
        .queues = ret_queues,
    };

    memcpy(description.name, worker->name, sizeof description.name);
    return description;
}
