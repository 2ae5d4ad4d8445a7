/*
 * crew: what the threads of a worker do with what they share.  See the header for the lock.
 */
#include "worker/worker_internal.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>
#include <time.h>

#define BACKOFF_MS_MIN 50u
#define BACKOFF_MS_MAX 5000u

bool worker_wait(struct worker *worker, pthread_cond_t *condition, uint64_t wait_ms)
{
    struct timespec until;

    if (wait_ms == 0)
        return pthread_cond_wait(condition, &worker->lock) == 0;
    /* The real clock even where tests replace clock.h's: this is how long a thread sleeps, not what time it is. */
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(wait_ms / 1000);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return pthread_cond_timedwait(condition, &worker->lock, &until) != ETIMEDOUT;
}

void worker_add_job(struct worker *worker, struct job *job)
{
    struct job **end = &worker->job;

    while (*end != NULL)
        end = &(*end)->next;
    *end = job;
    worker->job_len++;
    worker->steps_ready += job->steps_len;
    for (size_t i = 0; i < job->steps_len && i < worker->slots_len; i++)
        (void)pthread_cond_signal(&worker->work);
    worker_check_end(worker, job);
}

void worker_remove_job(struct worker *worker, struct job *job)
{
    struct job **at = &worker->job;

    assert(job->running == 0 && job->steps_len == 0);
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    worker->job_len--;
    job_free(job);
    (void)pthread_cond_signal(&worker->room);
    (void)pthread_cond_broadcast(&worker->changed);
}

void worker_check_end(struct worker *worker, struct job *job)
{
    if (job->with_reporter || job->running > 0 || job_is_open(job))
        return;
    assert(job->steps_len == 0);
    job->with_reporter = true;
    job->finish_next = NULL;
    if (worker->finish_first == NULL)
        worker->finish_first = job;
    else
        worker->finish_last->finish_next = job;
    worker->finish_last = job;
    (void)pthread_cond_signal(&worker->ended);
}

void worker_abort_job(struct worker *worker, struct job *job, enum job_end end)
{
    worker->steps_ready -= job_give_up(job, end);
    for (uint32_t i = 0; i < worker->slots_len; i++)
        if (worker->slots[i].job == job && worker->slots[i].slot != NULL)
            sandbox_cancel(worker->slots[i].slot);
    /* A step that was taken but has not begun its run yet is the warden's. */
    (void)pthread_cond_signal(&worker->given_up);
    if (job->with_reporter)
        (void)pthread_cond_broadcast(&worker->retry);
    worker_check_end(worker, job);
}

void worker_abort_all(struct worker *worker, enum job_end end)
{
    for (struct job *job = worker->job; job != NULL; job = job->next)
        if (job->end == JOB_COMPLETE && !job->with_reporter)
            worker_abort_job(worker, job, end);
}

uint64_t worker_backoff_ms(uint32_t try)
{
    uint64_t ceiling = BACKOFF_MS_MIN;
    uint16_t chance = 0;

    for (uint32_t i = 1; i < try && ceiling < BACKOFF_MS_MAX; i++)
        ceiling *= 2;
    if (ceiling > BACKOFF_MS_MAX)
        ceiling = BACKOFF_MS_MAX;
    /* Workers that lost the store together must not come back together; without chance they would. */
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) != sizeof chance)
        chance = 0;
    return ceiling / 2 + ceiling / 2 * chance / UINT16_MAX;
}

void worker_count_busy(struct worker *worker, uint64_t now_us)
{
    worker->busy_us += worker->steps_running * (now_us - worker->busy_counted_us);
    worker->busy_counted_us = now_us;
}

struct store_worker worker_describe(const struct worker *worker)
{
    struct store_worker description = {
        .slots = worker->slots_open,
        .running = (uint32_t)worker->job_len,
        .queues = worker->queues,
    };

    memcpy(description.name, worker->name, sizeof description.name);
    return description;
}
