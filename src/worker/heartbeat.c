/*
 * lease: keeping what is held, and letting go of it.
 *
 * The keeper says to the store every third of a lease that this worker lives and what it holds, and hears which leases
 * are no longer its own or were cancelled.  Both are given up at once.  It also calls the store's sweep, about once a
 * second, so that somebody's work is handed out again wherever a single worker lives.
 *
 * The warden repeats sandbox_cancel for as long as a step of a submission that was given up is in the hands of a
 * slot: a cancel that comes between taking the step and the start of its run finds nothing to cancel.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker/worker_internal.h"

#define SWEEP_MS 1000u
#define HEARTBEAT_MS_MIN 50u
#define CANCEL_AGAIN_MS 5u
#define FETCHED_TOO_EARLY_US 250000u  /* what no slot has begun after this could have begun elsewhere */
#define NO_SLOT_HAND_BACK_US 5000000u /* a worker without any box gives its submissions to others after this */

struct beating {
    struct store_lease *leases;
    size_t room;
    bool failing; /* said once */
    bool sweep_failing;
};

/* With the lock held. */
static size_t list_leases(struct worker *worker, struct beating *beating)
{
    size_t len = 0;

    if (beating->room < worker->job_len) {
        beating->room = worker->job_len * 2;
        beating->leases = reallocarray(beating->leases, beating->room, sizeof *beating->leases);
        if (beating->leases == NULL)
            abort();
    }
    for (const struct job *job = worker->job; job != NULL; job = job->next)
        if (job->end != JOB_ABANDON) {
            struct store_lease *lease = &beating->leases[len++];
            memcpy(lease->token, job->token, sizeof lease->token);
            lease->attempt = job->attempt;
            lease->state = LEASE_KEPT;
        }
    return len;
}

/* With the lock held. */
static void let_go(struct worker *worker, const struct store_lease *lease)
{
    for (struct job *job = worker->job; job != NULL; job = job->next)
        if (job->attempt == lease->attempt && strcmp(job->token, lease->token) == 0) {
            /* One in a finisher's hands may just have been finished; the store tells the finisher if not. */
            if (job->end != JOB_ABANDON && !job->with_reporter)
                log_warn("submission %s, attempt %" PRIu32 ": %s", job->token, job->attempt,
                         lease->state == LEASE_LOST ? "its lease is lost" : "cancelled");
            worker_abort_job(worker, job, JOB_ABANDON);
            return;
        }
}

/* With the lock held: on average, as what a heartbeat meets by chance would make scaling restless. */
static uint32_t busy_milli(struct worker *worker, uint64_t now_us)
{
    worker_count_busy(worker, now_us);
    uint64_t passed_us = now_us - worker->beat_us;
    return passed_us == 0 ? (uint32_t)worker->steps_running * 1000 : (uint32_t)(worker->busy_us * 1000 / passed_us);
}

static int heartbeat(struct worker *worker, struct beating *beating)
{
    struct error err;

    (void)pthread_mutex_lock(&worker->lock);
    struct store_worker description = worker_describe(worker);
    uint64_t now_us = clock_mono_us();
    description.busy_milli = busy_milli(worker, now_us);
    uint64_t told_us = worker->busy_us;
    size_t len = list_leases(worker, beating);
    (void)pthread_mutex_unlock(&worker->lock);

    if (store_heartbeat(worker->store, &description, beating->leases, len, &err) < 0) {
        if (!beating->failing)
            log_error("heartbeat: %s; trying again until it works", err.text);
        beating->failing = true;
        return -1;
    }
    if (beating->failing)
        log_info("heartbeat: the store answers again");
    beating->failing = false;

    (void)pthread_mutex_lock(&worker->lock);
    worker->busy_us -= told_us;
    worker->beat_us = now_us;
    for (size_t i = 0; i < len; i++)
        if (beating->leases[i].state != LEASE_KEPT)
            let_go(worker, &beating->leases[i]);
    (void)pthread_mutex_unlock(&worker->lock);
    return 0;
}

/* With the lock held. */
static void hand_back_idle(struct worker *worker, uint64_t now_us)
{
    if (worker->no_slot_since_us != 0 && now_us - worker->no_slot_since_us > NO_SLOT_HAND_BACK_US)
        worker_abort_all(worker, JOB_RELEASE);
    if (worker->steps_running < worker->slots_open)
        return;
    for (struct job *job = worker->job; job != NULL; job = job->next)
        if (job->end == JOB_COMPLETE && !job->begun && now_us - job->claimed_us > FETCHED_TOO_EARLY_US) {
            worker->step_us = STEP_US_LONG; /* nothing is fetched ahead until steps have been short again for a while */
            worker_abort_job(worker, job, JOB_RELEASE);
        }
}

static void sweep(struct worker *worker, struct beating *beating)
{
    struct error err;

    if (store_reap_expired(worker->store, &err) == 0) {
        beating->sweep_failing = false;
        return;
    }
    if (!beating->sweep_failing)
        log_error("sweep: %s", err.text);
    beating->sweep_failing = true;
}

void *heartbeat_main(void *context)
{
    struct worker *worker = context;
    struct beating beating = { 0 };
    uint64_t beat_ms = worker->config->lease_ms / 3;
    uint64_t next_beat_us = 0, next_sweep_us = 0;

    (void)pthread_setname_np(pthread_self(), "keeper");
    if (beat_ms < HEARTBEAT_MS_MIN)
        beat_ms = HEARTBEAT_MS_MIN;
    for (;;) {
        uint64_t now_us = clock_mono_us();
        worker->heartbeat_pulse_us = now_us;
        if (now_us >= next_beat_us) {
            bool heard = heartbeat(worker, &beating) == 0;
            /* A lease that could not be renewed has less time left: ask again sooner. */
            next_beat_us = clock_mono_us() + (heard ? beat_ms : beat_ms / 5 + 1) * 1000;
        }
        if (now_us >= next_sweep_us) {
            sweep(worker, &beating);
            next_sweep_us = clock_mono_us() + SWEEP_MS * 1000;
        }
        now_us = clock_mono_us();
        uint64_t next_us = next_beat_us < next_sweep_us ? next_beat_us : next_sweep_us;
        (void)pthread_mutex_lock(&worker->lock);
        hand_back_idle(worker, now_us);
        if (!worker->ending && next_us > now_us)
            (void)worker_wait(worker, &worker->beat, (next_us - now_us) / 1000 + 1);
        bool ending = worker->ending;
        (void)pthread_mutex_unlock(&worker->lock);
        if (ending)
            break;
    }
    free(beating.leases);
    return NULL;
}

void *canceller_main(void *context)
{
    struct worker *worker = context;

    (void)pthread_setname_np(pthread_self(), "warden");
    (void)pthread_mutex_lock(&worker->lock);
    while (!worker->ending) {
        bool any = false;
        for (uint32_t i = 0; i < worker->slots_len; i++) {
            const struct executor *executor = &worker->slots[i];
            if (executor->job == NULL || executor->job->end == JOB_COMPLETE)
                continue;
            any = true;
            if (executor->slot != NULL)
                sandbox_cancel(executor->slot);
        }
        (void)worker_wait(worker, &worker->given_up, any ? CANCEL_AGAIN_MS : 0);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    return NULL;
}
