/*
 * executor: a thread that drives one sandbox slot.  It takes the oldest ready step, runs it and stores its outcome.
 *
 * A slot that breaks may have broken for any reason, so a step that failed is run once more, in a new slot process.  If
 * that fails, too, nobody knows whether the host or the program is to blame.  Neither gets the blame as a result:
 *
 *   the submission  is returned to the store, which hands it out again after a delay and gives it up after many;
 *   the worker      takes no step and claims nothing until its slots have passed the self-test (executor_slot.c).
 *
 * An error because the launcher died is not counted, because its death ends the runs of all slots.  But after
 * LAUNCHER_DEATHS_MAX deaths during one step it is counted, so that no step is retried without a limit.
 *
 * An error of the kinds ERROR_REQUEST, ERROR_MISSING and ERROR_BUG is certain, here and on every other worker: the
 * submission fails with it.
 */
#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "metrics/metrics.h"
#include "worker/worker_internal.h"

#define LAUNCHER_DEATHS_MAX 10

/* A step in the hands of an executor, and its outcome. */
struct running_step {
    struct job *job;
    struct step step;
    struct compiled compiled;   /* STEP_COMPILE */
    struct run_outcome outcome; /* STEP_RUN */
    struct result result;
    bool failed; /* error has the reason */
    struct error error;
};

/* Waits for a step.  False when the worker stops, or the slot has to be proven first. */
static bool take_step(struct executor *executor, struct running_step *running)
{
    struct worker *worker = executor->worker;

    lock_guard(&worker->lock);
    for (;;) {
        if (executor->proven != worker->sandbox_failures)
            return false;
        for (struct job *job = worker->jobs; job != NULL; job = job->next)
            if (job_take_step(job, &running->step)) {
                running->job = executor->job = job;
                worker->steps_ready--;
                worker_count_busy(worker, clock_mono_us());
                worker->steps_running++;
                return true;
            }
        if (worker->phase == WORKER_STOPPING)
            return false;
        cond_wait(&worker->step_ready, &worker->lock);
    }
}

static int run_once(struct executor *executor, struct running_step *running)
{
    struct worker *worker = executor->worker;
    struct submission *submission = &running->job->submission;
    struct artifact_cache *artifacts = submission->fresh ? NULL : worker->cache;
    struct result_cache *results = submission->fresh || !submission->cache_results ? NULL : worker->results;

    if (running->step.kind == STEP_COMPILE)
        return step_compile(executor->slot, artifacts, submission, &submission->programs[running->step.at],
                            &running->compiled, &running->error);
    /* No thread changes a program's artifact once its run steps are queued, so it is read without the lock. */
    const struct test *test = &submission->tests[running->step.at];
    return step_run(executor->slot, results, submission, test, &running->job->programs[test->program],
                    &running->outcome, &running->result, &running->error);
}

static bool is_aborted(struct executor *executor, const struct job *job)
{
    lock_guard(&executor->worker->lock);
    return job->end != JOB_COMPLETE;
}

static bool blames_host(const struct error *err)
{
    return err->kind != ERROR_REQUEST && err->kind != ERROR_MISSING && err->kind != ERROR_BUG;
}

static void run_with_retry(struct executor *executor, struct running_step *running)
{
    const struct sandbox *sandbox = executor->worker->sandbox;
    unsigned deaths = 0;

    for (int try = 1; try <= 2; try++) {
        unsigned restarts_before = sandbox_restarts(sandbox);
        running->failed = run_once(executor, running) < 0;
        if (!running->failed)
            return;
        log_warn("executor-%u: %s of submission %s: %s", executor->number,
                 running->step.kind == STEP_COMPILE ? "compile" : "run", running->job->token, running->error.text);
        if (!blames_host(&running->error) || is_aborted(executor, running->job))
            return;
        if (sandbox_restarts(sandbox) != restarts_before && ++deaths < LAUNCHER_DEATHS_MAX)
            try--;
    }
}

static void count_step(const struct running_step *running)
{
    const struct submission *submission = &running->job->submission;
    char language[64];

    if (running->failed)
        return;
    if (running->step.kind == STEP_COMPILE) {
        const struct language *compiler = submission->programs[running->step.at].language;
        (void)snprintf(language, sizeof language, "%.*s", TEXT_ARG(compiler->id));
        if (compiler->compile.words_len > 0)
            metrics_cache(language, running->compiled.cached);
        return;
    }
    (void)snprintf(language, sizeof language, "%.*s", TEXT_ARG(running->result.language));
    metrics_execution(language, running->result.stats.wall_us);
}

/* With the lock held. */
static void fail_step(struct executor *executor, struct running_step *running)
{
    struct worker *worker = executor->worker;
    struct job *job = running->job;
    const struct submission *submission = &job->submission;
    uint32_t program =
        running->step.kind == STEP_COMPILE ? running->step.at : submission->tests[running->step.at].program;
    bool was_aborted = job->end != JOB_COMPLETE, host = blames_host(&running->error);

    job_step_failed(job, running->error.text);
    if (was_aborted)
        return;
    worker_abort_job(worker, job, host ? JOB_RETURN : JOB_FAIL);
    if (!host)
        return;
    metrics_returned();
    worker_sandbox_failed(worker, submission->programs[program].language->image.at, &running->error);
}

/* Stores the outcome in the job. */
static void finish_step(struct executor *executor, struct running_step *running, uint64_t took_us)
{
    struct worker *worker = executor->worker;
    struct job *job = running->job;

    lock_guard(&worker->lock);
    size_t ready_before = job->steps_len;
    executor->job = NULL;
    if (running->failed)
        fail_step(executor, running);
    else if (running->step.kind == STEP_COMPILE)
        job_compiled(job, running->step.at, &running->compiled);
    else
        job_ran(job, running->step.at, &running->outcome, &running->result);
    size_t added = job->steps_len > ready_before ? job->steps_len - ready_before : 0; /* fewer if it was aborted */
    worker->steps_ready += added;
    worker_count_busy(worker, clock_mono_us());
    worker->steps_running--;
    worker->step_us = worker->step_us / 8 * 7 + took_us / 8;
    /* This executor takes one of the new steps itself. */
    for (size_t i = 1; i < added && i < worker->executors_len; i++)
        cond_signal(&worker->step_ready);
    cond_signal(&worker->capacity_freed);
    worker_check_end(worker, job);
}

void *executor_main(void *context)
{
    struct executor *executor = context;
    struct worker *worker = executor->worker;

    (void)executor_slot_try(executor);
    mutex_lock(&worker->lock);
    worker->executors_tried++;
    cond_broadcast(&worker->progress);
    mutex_unlock(&worker->lock);

    while (executor_slot_ready(executor)) {
        struct running_step running = { 0 };
        if (!take_step(executor, &running))
            continue;
        uint64_t begin_us = clock_mono_us();
        run_with_retry(executor, &running);
        count_step(&running);
        finish_step(executor, &running, clock_mono_us() - begin_us);
    }
    executor_slot_close(executor);
    return NULL;
}
