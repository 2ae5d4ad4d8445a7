/*
 * finisher: says the last word about a submission to the store.
 *
 * A thread of its own, so that a slot does not wait for a commit, and several, so that a store that commits in groups
 * can.  While the store is away it tries again, for as long as the heartbeat has not heard that the lease is lost:
 * the store itself refuses what comes too late.
 */
#include <assert.h>
#include <inttypes.h>

#include "base/log.h"
#include "codec/result_json.h"
#include "metrics/metrics.h"
#include "worker/worker_internal.h"

#define RESULTS_BYTES_MAX (448u << 20) /* 64 MiB of output, every byte escaped as \u0000, and the figures */

static struct job *next_ended(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    while (worker->finish_first == NULL && !worker->ending)
        (void)pthread_cond_wait(&worker->ended, &worker->lock);
    struct job *job = worker->finish_first;
    if (job != NULL)
        worker->finish_first = job->finish_next;
    (void)pthread_mutex_unlock(&worker->lock);
    return job;
}

/* What to do now: `end` may have become JOB_ABANDON meanwhile. */
static enum job_end end_now(struct worker *worker, const struct job *job)
{
    (void)pthread_mutex_lock(&worker->lock);
    enum job_end end = job->end;
    (void)pthread_mutex_unlock(&worker->lock);
    return end;
}

/* false: the worker may not wait any longer. */
static bool wait_to_try_again(struct worker *worker, uint32_t try)
{
    (void)pthread_mutex_lock(&worker->lock);
    bool again = !worker->impatient;
    if (again)
        (void)worker_wait(worker, &worker->retry, worker_backoff_ms(try));
    (void)pthread_mutex_unlock(&worker->lock);
    return again;
}

/* One try.  -1: *err says why, and another try may help if its kind is ERROR_STORE. */
static int tell(struct worker *worker, const struct job *job, enum job_end end, struct text result, bool *ret_kept,
                struct error *err)
{
    switch (end) {
    case JOB_COMPLETE:
        return store_finish(worker->store, job->token, job->attempt, SUBMISSION_COMPLETED, result, ret_kept, err);
    case JOB_FAIL:
        return store_finish(worker->store, job->token, job->attempt, SUBMISSION_FAILED, text_of(job->reason), ret_kept,
                            err);
    case JOB_RELEASE:
        return store_release(worker->store, job->token, job->attempt, err);
    case JOB_ABANDON:
        break;
    }
    return 0;
}

/* A result the store will never take would be run again and again: it ends as Failed, with the reason. */
static void fail_instead(struct worker *worker, struct job *job, const struct error *err)
{
    (void)pthread_mutex_lock(&worker->lock);
    if (job->end == JOB_COMPLETE) {
        job->end = JOB_FAIL;
        (void)snprintf(job->reason, sizeof job->reason, "the results cannot be stored: %.250s", err->text);
    }
    (void)pthread_mutex_unlock(&worker->lock);
}

static void count_verdicts(const struct job *job)
{
    for (size_t i = 0; i < job->submission.tests_len; i++) {
        char language[64];
        (void)snprintf(language, sizeof language, "%.*s", TEXT_ARG(job->results[i].language));
        metrics_verdict(language, job->results[i].verdict);
    }
}

static void say_last_word(struct worker *worker, struct job *job)
{
    auto_buf struct buf result = { .max = RESULTS_BYTES_MAX };
    struct error err;

    if (end_now(worker, job) == JOB_COMPLETE &&
        results_encode(job->results, job->submission.tests_len, &result, &err) < 0)
        fail_instead(worker, job, &err);
    for (uint32_t try = 1;; try++) {
        enum job_end end = end_now(worker, job);
        bool kept = true;
        if (tell(worker, job, end, buf_text(&result), &kept, &err) == 0) {
            if (end == JOB_COMPLETE && kept)
                count_verdicts(job);
            if (!kept)
                log_warn("submission %s, attempt %" PRIu32 ": finished too late, another attempt has it", job->token,
                         job->attempt);
            break;
        }
        if (err.kind != ERROR_STORE && end == JOB_COMPLETE) {
            log_error("submission %s: %s", job->token, err.text);
            fail_instead(worker, job, &err);
            continue;
        }
        if (try == 1)
            log_error("submission %s: %s%s", job->token, err.text,
                      err.kind == ERROR_STORE ? "; trying again until it works" : "; its lease will run out");
        if (err.kind != ERROR_STORE || !wait_to_try_again(worker, try))
            break;
    }
}

void *reporter_main(void *context)
{
    struct worker *worker = context;

    (void)pthread_setname_np(pthread_self(), "finisher");
    for (struct job *job; (job = next_ended(worker)) != NULL;) {
        say_last_word(worker, job);
        (void)pthread_mutex_lock(&worker->lock);
        worker_remove_job(worker, job);
        (void)pthread_mutex_unlock(&worker->lock);
    }
    return NULL;
}
