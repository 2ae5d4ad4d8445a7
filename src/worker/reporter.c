/*
 * reporter: reports to the store how a job ended, and frees the job.
 *
 * Reporters are threads of their own so that an executor does not wait for a commit.  There are several so that a store
 * that groups commits can put their results into one.  While the store is unreachable a reporter retries until
 * a heartbeat learns that the lease is lost.  The store itself rejects a result that comes too late.
 */
#include <assert.h>
#include <inttypes.h>

#include "base/log.h"
#include "codec/result_json.h"
#include "metrics/metrics.h"
#include "worker/worker_internal.h"

#define RESULTS_BYTES_MAX (JOB_OUTPUT_BYTES_MAX + (16u << 20)) /* and the other fields of 1,000 results */

/* Waits for an ended job.  NULL when the worker stops. */
static struct job *next_job(struct worker *worker)
{
    lock_guard(&worker->lock);
    while (worker->reports_first == NULL && worker->phase != WORKER_STOPPING)
        cond_wait(&worker->job_ended, &worker->lock);
    struct job *job = worker->reports_first;
    if (job != NULL)
        worker->reports_first = job->report_next;
    return job;
}

/* Read before each try: a heartbeat may have changed it to JOB_ABANDON. */
static enum job_end current_end(struct worker *worker, const struct job *job)
{
    lock_guard(&worker->lock);
    return job->end;
}

/* False when no retry is allowed any more. */
static bool wait_before_retry(struct worker *worker, uint32_t failures)
{
    lock_guard(&worker->lock);
    if (worker->phase >= WORKER_NO_RETRY)
        return false;
    (void)cond_wait_for(&worker->retry_now, &worker->lock, backoff_ms(failures, BACKOFF_MIN_MS, BACKOFF_MAX_MS) * 1000);
    return true;
}

/* One try.  After ERROR_STORE another one may succeed. */
static int report_once(struct worker *worker, const struct job *job, enum job_end end, struct text results,
                       bool *ret_kept, struct error *err)
{
    char reason[sizeof job->reason + 48];

    switch (end) {
    case JOB_COMPLETE:
        return store_finish(worker->store, worker->name, job->token, job->attempt, SUBMISSION_COMPLETED, results,
                            ret_kept, err);
    case JOB_FAIL:
        return store_finish(worker->store, worker->name, job->token, job->attempt, SUBMISSION_FAILED,
                            text_of(job->reason), ret_kept, err);
    case JOB_RELEASE:
        return store_release(worker->store, job->token, job->attempt, err);
    case JOB_RETURN:
        (void)snprintf(reason, sizeof reason, "no worker could run it; the last reason: %s", job->reason);
        return store_return(worker->store, job->token, job->attempt, reason, err);
    case JOB_ABANDON:
        break;
    }
    return 0;
}

/* A job whose results can never be stored would be run again and again.  It fails with the reason instead. */
static void fail_instead(struct worker *worker, struct job *job, const struct error *err)
{
    lock_guard(&worker->lock);
    if (job->end == JOB_COMPLETE) {
        job->end = JOB_FAIL;
        (void)snprintf(job->reason, sizeof job->reason, "the results cannot be stored: %.250s", err->text);
    }
}

static void count_verdicts(const struct job *job)
{
    for (size_t i = 0; i < job->submission.tests_len; i++) {
        char language[64];
        (void)snprintf(language, sizeof language, "%.*s", TEXT_ARG(job->results[i].language));
        metrics_verdict(language, job->results[i].verdict);
    }
}

static void report_result(struct worker *worker, struct job *job)
{
    auto_buf struct buf results = { .max = RESULTS_BYTES_MAX };
    struct error err;

    if (current_end(worker, job) == JOB_COMPLETE &&
        results_encode(job->results, job->submission.tests_len, &results, &err) < 0)
        fail_instead(worker, job, &err);
    for (uint32_t try = 1;; try++) {
        enum job_end end = current_end(worker, job);
        bool kept = true;
        if (report_once(worker, job, end, buf_text(&results), &kept, &err) == 0) {
            if (end == JOB_COMPLETE && kept)
                count_verdicts(job);
            if (!kept)
                log_warn("submission %s, attempt %" PRIu32 ": result rejected, this attempt no longer has the lease",
                         job->token, job->attempt);
            break;
        }
        if (err.kind != ERROR_STORE && end == JOB_COMPLETE) {
            log_error("submission %s: %s", job->token, err.text);
            fail_instead(worker, job, &err);
            continue;
        }
        if (try == 1)
            log_error("submission %s: cannot report its result: %s%s", job->token, err.text,
                      err.kind == ERROR_STORE ? "; retrying" : "; its lease will expire");
        if (err.kind != ERROR_STORE || !wait_before_retry(worker, try))
            break;
    }
}

void *reporter_main(void *context)
{
    struct worker *worker = context;

    for (struct job *job; (job = next_job(worker)) != NULL;) {
        report_result(worker, job);
        lock_guard(&worker->lock);
        worker_remove_job(worker, job);
    }
    return NULL;
}
