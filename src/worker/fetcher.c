/*
 * claimer: takes from the store what the slots can soon run, and no more.
 *
 * What is claimed here and waits could run on another worker.  So a claim asks for as many submissions as there are
 * slots without a step.  Only while steps are short (a fetch takes about as long as a run) one step a slot is fetched
 * ahead, so that slots do not stand idle between two; it then waits for milliseconds.  If what runs before it turns out
 * to be long, the keeper hands it back (lease.c).
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "metrics/metrics.h"
#include "worker/worker_internal.h"

#define CLAIMS_MAX 64u
#define CLAIM_WAIT_MS 5000u
#define SHORT_STEP_US 20000u
#define JOB_SPARE 4u /* submissions that are being finished, beyond two a slot */

/* With the lock held: how many submissions to ask for. */
static size_t room(const struct worker *worker)
{
    size_t steps_max = worker->slots_open;
    size_t steps = worker->steps_ready + worker->steps_running;
    size_t job_max = 2 * (size_t)worker->slots_len + JOB_SPARE;

    if (worker->slots_open == 0)
        return 0;
    if (worker->step_us < SHORT_STEP_US)
        steps_max *= 2;
    if (steps >= steps_max || worker->job_len >= job_max)
        return 0;
    size_t wanted = steps_max - steps;
    if (wanted > job_max - worker->job_len)
        wanted = job_max - worker->job_len;
    return wanted < CLAIMS_MAX ? wanted : CLAIMS_MAX;
}

/* Waits until there is room; 0 when no more may be claimed. */
static size_t wait_for_room(struct worker *worker, struct store_worker *ret_description)
{
    size_t wanted = 0;

    worker->fetcher_pulse_us = clock_mono_us();
    (void)pthread_mutex_lock(&worker->lock);
    while (!worker->stopping && (wanted = room(worker)) == 0) {
        worker->fetcher_pulse_us = 0;
        (void)pthread_cond_wait(&worker->room, &worker->lock);
        worker->fetcher_pulse_us = clock_mono_us();
    }
    if (worker->stopping)
        wanted = 0;
    *ret_description = worker_describe(worker);
    (void)pthread_mutex_unlock(&worker->lock);
    return wanted;
}

static void count_wait(const struct job *job, uint64_t waited_ms)
{
    char language[64];

    if (job->submission.programs_len == 0)
        return;
    (void)snprintf(language, sizeof language, "%.*s", TEXT_ARG(job->submission.programs[0].language->id));
    metrics_queue_wait(language, waited_ms);
}

static void take(struct worker *worker, struct store_claim *claim)
{
    uint64_t waited_ms = claim->waited_ms;
    struct job *job = job_new(claim, worker->languages, worker->config->attempts_max);

    count_wait(job, waited_ms);
    if (job->end == JOB_FAIL || job->end == JOB_ABANDON)
        log_warn("submission %s, attempt %" PRIu32 ": %s%s", job->token, job->attempt, job->reason,
                 job->end == JOB_ABANDON ? "; left to another worker" : "");
    (void)pthread_mutex_lock(&worker->lock);
    worker_add_job(worker, job);
    if (worker->stopping && job->end == JOB_COMPLETE)
        worker_abort_job(worker, job, JOB_RELEASE); /* it came while the worker was told to stop */
    (void)pthread_mutex_unlock(&worker->lock);
}

static void wait_after_error(struct worker *worker, uint32_t errors)
{
    uint64_t wait_ms = worker_backoff_ms(errors);

    (void)pthread_mutex_lock(&worker->lock);
    if (!worker->stopping)
        (void)worker_wait(worker, &worker->room, wait_ms);
    (void)pthread_mutex_unlock(&worker->lock);
}

void *fetcher_main(void *context)
{
    struct worker *worker = context;
    struct store_claim claims[CLAIMS_MAX];
    struct store_worker description;
    uint32_t errors = 0; /* in a row */

    (void)pthread_setname_np(pthread_self(), "claimer");
    for (size_t wanted; (wanted = wait_for_room(worker, &description)) > 0;) {
        struct error err;
        size_t len = 0;
        if (store_claim(worker->store, &description, wanted, CLAIM_WAIT_MS, claims, &len, &err) < 0) {
            if (errors++ == 0)
                log_error("claim: %s; trying again until it works", err.text);
            wait_after_error(worker, errors);
            continue;
        }
        if (errors > 0)
            log_info("claim: the store answers again after %" PRIu32 " failed tries", errors);
        errors = 0;
        for (size_t i = 0; i < len; i++)
            take(worker, &claims[i]);
    }
    (void)pthread_mutex_lock(&worker->lock);
    worker->fetcher_ended = true;
    worker->fetcher_pulse_us = 0;
    (void)pthread_cond_broadcast(&worker->changed);
    (void)pthread_mutex_unlock(&worker->lock);
    return NULL;
}
