/*
 * fetcher: claims from the store what the executors can soon run, and no more.
 *
 * A submission that waits here could run on another worker.  So the fetcher asks for as many submissions as there are
 * executors without a step.  Only while steps are short (a claim takes about as long as a run) it fetches one more step
 * per executor, so that executors need not idle between two steps.  That step waits for milliseconds.  If the
 * steps before it turn out to be long, the heartbeat thread releases it (heartbeat.c).
 *
 * While long submissions keep all executors busy, another may wait in the store that should run before them.  So an
 * executor that is about to take a step asks for a look: the fetcher claims one submission, but only if its first step
 * would be the next one (schedule_look).  Then the executor takes the next step.
 */
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "metrics/metrics.h"
#include "worker/worker_internal.h"

#define CLAIMS_MAX 64u
#define CLAIM_WAIT_MS 5000u
#define SHORT_STEP_US 20000u
#define MIXED_PAUSE_US 5000000u /* after a mixed submission that lacks a language here; others have it first */
#define JOBS_SPARE 4u           /* jobs that are being reported, on top of two per executor */
#define PARKED_MAX 64u          /* jobs that wait for a flight */

/* With the lock held: nobody needs to wait for a look any longer. */
static void end_look(struct worker *worker)
{
    worker->look_wanted = false;
    cond_broadcast(&worker->looked);
}

/* Jobs whose steps all wait for a flight use no executor. */
static size_t jobs_in_work(const struct worker *worker)
{
    size_t len = 0;

    for (const struct job *job = worker->jobs; job != NULL; job = job->next)
        len += job->parked == 0 || job->running > 0 || job->turn.ready > 0;
    return len;
}

/* With the lock held: how many submissions to claim. */
static size_t capacity(const struct worker *worker)
{
    size_t steps_max = worker->slots_open;
    size_t steps = worker->steps_ready + worker->steps_running;
    size_t jobs_max = 2 * (size_t)worker->executors_len + JOBS_SPARE;
    size_t jobs = jobs_in_work(worker);

    if (worker->slots_open == 0 || worker->alone != NULL)
        return 0;
    if (worker->step_us < SHORT_STEP_US)
        steps_max *= 2;
    if (steps >= steps_max || jobs >= jobs_max || worker->jobs_len - jobs >= PARKED_MAX)
        return 0;
    size_t wanted = steps_max - steps;
    if (wanted > jobs_max - jobs)
        wanted = jobs_max - jobs;
    return wanted < CLAIMS_MAX ? wanted : CLAIMS_MAX;
}

/* With the lock held: slots idle although the worker holds as many jobs as it may, because they wait for flights. */
static bool is_full_but_idle(const struct worker *worker)
{
    return worker->alone == NULL && worker->steps_ready + worker->steps_running < worker->slots_open &&
           worker->jobs_len - jobs_in_work(worker) >= PARKED_MAX && worker->jobs_len < JOBS_HELD_MAX;
}

/* With the lock held.  Looks for what should go before the jobs held here.  Returns how many to claim, 0 or 1. */
static size_t begin_look(struct worker *worker, struct store_filter *filter)
{
    bool is_due =
        worker->look_wanted || (is_full_but_idle(worker) && clock_mono_us() - worker->looked_us >= LOOK_EVERY_US);

    if (is_due && worker->slots_open > 0 && worker->alone == NULL && schedule_look(&worker->schedule, filter))
        return 1;
    end_look(worker);
    return 0;
}

/*
 * Waits until there is something to claim for.  Returns how many to claim, 0 when no more may be claimed.  For a look
 * the description has a filter.
 */
static size_t wait_for_capacity(struct worker *worker, struct store_worker *ret_description, const char **queues,
                                struct store_filter *filter)
{
    size_t wanted = 0;
    bool is_look = false;

    worker->fetcher_pulse_us = clock_mono_us();
    lock_guard(&worker->lock);
    while (worker->phase == WORKER_RUNNING && wanted == 0) {
        wanted = capacity(worker);
        is_look = wanted == 0;
        if (is_look)
            wanted = begin_look(worker, filter);
        if (wanted > 0)
            break;
        worker->fetcher_pulse_us = 0;
        if (is_full_but_idle(worker))
            (void)cond_wait_for(&worker->capacity_freed, &worker->lock, LOOK_EVERY_US);
        else
            cond_wait(&worker->capacity_freed, &worker->lock);
        worker->fetcher_pulse_us = clock_mono_us();
    }
    if (!is_look)
        end_look(worker);
    *ret_description = worker_describe(worker, queues);
    if (clock_mono_us() < worker->mixed_again_us)
        ret_description->queues += worker->queues_mixed;
    ret_description->filter = is_look ? filter : NULL;
    return worker->phase == WORKER_RUNNING ? wanted : 0;
}

static void count_wait(const struct job *job, uint64_t waited_ms)
{
    char language[64];

    if (job->submission.programs_len == 0)
        return;
    (void)snprintf(language, sizeof language, "%.*s", TEXT_ARG(job->submission.programs[0].language->id));
    metrics_queue_wait(language, waited_ms);
}

static void take_claim(struct worker *worker, struct store_claim *claim)
{
    uint64_t waited_ms = claim->waited_ms;
    struct job *job = job_new(claim, worker->languages, worker->config->attempts_max);

    count_wait(job, waited_ms);
    if (job->end != JOB_COMPLETE)
        log_warn("submission %s, attempt %" PRIu32 ": %s%s", job->token, job->attempt, job->reason,
                 job->end == JOB_RETURN ? "; it is returned for another worker" : "");
    lock_guard(&worker->lock);
    bool joins_alone = worker->alone != NULL;
    bool is_broken = job->end == JOB_COMPLETE && worker_image_of_job_is_broken(worker, job);
    if (job->end == JOB_RETURN || is_broken)
        worker->mixed_again_us = clock_mono_us() + MIXED_PAUSE_US;
    worker_add_job(worker, job);
    if (is_broken) /* in several languages, or claimed just before */
        worker_abort_job(worker, job, JOB_RETURN);
    /* It was claimed while the worker began to stop or its sandbox failed, or together with one that runs alone. */
    if (job->end == JOB_COMPLETE && (worker->phase != WORKER_RUNNING || worker->slots_open == 0 || joins_alone))
        worker_abort_job(worker, job, JOB_RELEASE);
}

static void note_claim(struct worker *worker)
{
    lock_guard(&worker->lock);
    worker->looked_us = clock_mono_us();
    end_look(worker);
}

static void wait_after_failure(struct worker *worker, uint32_t failures)
{
    lock_guard(&worker->lock);
    end_look(worker);
    if (worker->phase == WORKER_RUNNING)
        (void)cond_wait_for(&worker->capacity_freed, &worker->lock,
                            backoff_ms(failures, BACKOFF_MIN_MS, BACKOFF_MAX_MS) * 1000);
}

void *fetcher_main(void *context)
{
    struct worker *worker = context;
    struct store_claim claims[CLAIMS_MAX];
    struct store_worker description;
    struct store_filter filter;
    uint32_t failures = 0; /* in a row */
    auto_free const char **queues = calloc(worker->queues_len + 1, sizeof *queues);

    if (queues == NULL)
        abort();
    for (size_t wanted; (wanted = wait_for_capacity(worker, &description, queues, &filter)) > 0;) {
        struct error err;
        size_t len = 0;
        if (store_claim(worker->store, &description, wanted, description.filter != NULL ? 0 : CLAIM_WAIT_MS, claims,
                        &len, &err) < 0) {
            if (failures++ == 0)
                log_error("cannot claim submissions: %s; retrying", err.text);
            wait_after_failure(worker, failures);
            continue;
        }
        if (failures > 0)
            log_info("claiming submissions again after %" PRIu32 " failures", failures);
        failures = 0;
        for (size_t i = 0; i < len; i++)
            take_claim(worker, &claims[i]);
        note_claim(worker);
    }
    lock_guard(&worker->lock);
    worker->fetcher_done = true;
    worker->fetcher_pulse_us = 0;
    cond_broadcast(&worker->progress);
    return NULL;
}
