/*
 * heartbeat: keeps the leases of this worker's jobs, and drops jobs whose lease is gone.
 *
 * Every lease_ms/3 it renews the leases of all jobs and learns which were lost or cancelled; those jobs are aborted.
 * About once a second it also calls store_reap_expired, so that one live worker suffices to requeue the jobs of a dead
 * one.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker/worker_internal.h"

#define REAP_US 1000000u
#define HEARTBEAT_MS_MIN 50u
#define UNSTARTED_RELEASE_US 250000u /* a job that no executor has started by then could have started elsewhere */
#define ALONE_US_MAX 30000000u       /* a job that has to run alone waits no longer for the others to end */

struct heartbeat_state {
    struct store_lease *leases;
    size_t leases_cap;
    const char **queues;
    bool failing, reap_failing; /* so that a failure is logged once */
};

/* With the lock held. */
static size_t list_leases(struct worker *worker, struct heartbeat_state *state)
{
    size_t len = 0;

    if (state->leases_cap < worker->jobs_len) {
        state->leases_cap = worker->jobs_len * 2;
        state->leases = reallocarray(state->leases, state->leases_cap, sizeof *state->leases);
        if (state->leases == NULL)
            abort();
    }
    for (const struct job *job = worker->jobs; job != NULL; job = job->next)
        if (job->end != JOB_ABANDON) {
            struct store_lease *lease = &state->leases[len++];
            memcpy(lease->token, job->token, sizeof lease->token);
            lease->attempt = job->attempt;
            lease->state = LEASE_KEPT;
        }
    return len;
}

/* With the lock held. */
static void abandon(struct worker *worker, const struct store_lease *lease)
{
    for (struct job *job = worker->jobs; job != NULL; job = job->next)
        if (job->attempt == lease->attempt && strcmp(job->token, lease->token) == 0) {
            /* A reporter may just have finished the job, which ends the lease as well: then nothing is logged. */
            if (job->end != JOB_ABANDON && !job->with_reporter)
                log_warn("submission %s, attempt %" PRIu32 ": %s", job->token, job->attempt,
                         lease->state == LEASE_LOST ? "lease lost" : "cancelled");
            worker_abort_job(worker, job, JOB_ABANDON);
            return;
        }
}

/* With the lock held.  An average, because momentary values would make the size of a scaled fleet oscillate. */
static uint32_t busy_milli(struct worker *worker, uint64_t now_us)
{
    worker_count_busy(worker, now_us);
    uint64_t passed_us = now_us - worker->heartbeat_us;
    return passed_us == 0 ? (uint32_t)worker->steps_running * 1000 : (uint32_t)(worker->busy_us * 1000 / passed_us);
}

static bool take_beat_now(struct worker *worker)
{
    lock_guard(&worker->lock);
    bool beat_now = worker->beat_now;
    worker->beat_now = false;
    return beat_now;
}

static int heartbeat(struct worker *worker, struct heartbeat_state *state)
{
    struct error err;

    mutex_lock(&worker->lock);
    uint64_t now_us = clock_mono_us();
    struct store_worker description = worker_describe(worker, state->queues);
    description.busy_milli = busy_milli(worker, now_us);
    uint64_t reported_us = worker->busy_us;
    size_t len = list_leases(worker, state);
    mutex_unlock(&worker->lock);

    if (store_heartbeat(worker->store, &description, state->leases, len, &err) < 0) {
        if (!state->failing)
            log_error("heartbeat: %s; retrying", err.text);
        state->failing = true;
        return -1;
    }
    if (state->failing)
        log_info("heartbeat: the store is reachable again");
    state->failing = false;

    lock_guard(&worker->lock);
    worker->busy_us -= reported_us;
    worker->heartbeat_us = now_us;
    for (size_t i = 0; i < len; i++)
        if (state->leases[i].state != LEASE_KEPT)
            abandon(worker, &state->leases[i]);
    return 0;
}

/* With the lock held: releases jobs that another worker could start sooner. */
static void release_waiting(struct worker *worker, uint64_t now_us)
{
    if (worker->self_test_failed && worker->steps_running == 0)
        worker_abort_all(worker, JOB_RELEASE);
    if (worker->alone != NULL && now_us - worker->alone->claimed_us > ALONE_US_MAX)
        worker_begin_alone(worker, true);
    if (worker->steps_running < worker->slots_open)
        return;
    for (struct job *job = worker->jobs; job != NULL; job = job->next)
        if (job->end == JOB_COMPLETE && !job->started && job != worker->alone &&
            now_us - job->claimed_us > UNSTARTED_RELEASE_US) {
            worker->step_us = STEP_US_LONG; /* the fetcher fetches nothing ahead until steps are short again */
            worker_abort_job(worker, job, JOB_RELEASE);
        }
}

static void reap_expired(struct worker *worker, struct heartbeat_state *state)
{
    struct error err;
    bool failed = store_reap_expired(worker->store, &err) < 0;

    if (failed && !state->reap_failing)
        log_error("cannot reap expired leases: %s", err.text);
    state->reap_failing = failed;
}

void *heartbeat_main(void *context)
{
    struct worker *worker = context;
    struct heartbeat_state state = { .queues = calloc(worker->queues_len + 1, sizeof *state.queues) };
    uint64_t interval_ms = worker->config->lease_ms / 3;
    uint64_t next_heartbeat_us = 0, next_reap_us = 0;
    bool stopping = false;

    if (state.queues == NULL)
        abort();
    if (interval_ms < HEARTBEAT_MS_MIN)
        interval_ms = HEARTBEAT_MS_MIN;
    while (!stopping) {
        uint64_t now_us = clock_mono_us();
        worker->heartbeat_pulse_us = now_us;
        if (now_us >= next_heartbeat_us || take_beat_now(worker)) {
            bool acknowledged = heartbeat(worker, &state) == 0;
            /* Leases that could not be renewed have less time left, so the next try comes sooner. */
            next_heartbeat_us = clock_mono_us() + (acknowledged ? interval_ms : interval_ms / 5 + 1) * 1000;
        }
        if (now_us >= next_reap_us) {
            reap_expired(worker, &state);
            next_reap_us = clock_mono_us() + REAP_US;
        }
        now_us = clock_mono_us();
        uint64_t next_us = next_heartbeat_us < next_reap_us ? next_heartbeat_us : next_reap_us;
        lock_guard(&worker->lock);
        release_waiting(worker, now_us);
        worker_images_retry(worker, now_us);
        if (worker->phase != WORKER_STOPPING && next_us > now_us && !worker->beat_now)
            (void)cond_wait_for(&worker->heartbeat_due, &worker->lock, next_us - now_us);
        stopping = worker->phase == WORKER_STOPPING;
    }
    free(state.leases);
    free(state.queues);
    return NULL;
}
