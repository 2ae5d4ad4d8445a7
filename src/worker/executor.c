/*
 * executor: a thread that drives one sandbox slot.  It takes the oldest ready step, runs it and stores its outcome.
 *
 * A slot that breaks is not the program's fault until it has broken twice with the same step:
 *
 *   first error     The step is run again in the new slot process that sandbox_run has asked for.
 *   second error    The slot is closed and opened again.  If that works, the program is what breaks slots: its test
 *                   ends as an internal error (all its tests, if it was the compile step).  If it does not work, the
 *                   host is to blame: the step is queued again, and the executor retries until its slot opens.
 *
 * An error because the launcher died is not counted, because its death ends the runs of all slots.  But after
 * LAUNCHER_DEATHS_MAX deaths during one step it is counted, so that no step is retried without a limit.
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

static int open_slot(struct executor *executor)
{
    struct worker *worker = executor->worker;
    struct sandbox_slot *slot = NULL;
    struct error err;
    int failed = sandbox_slot_open(worker->sandbox, executor->number, &slot, &err);

    lock_guard(&worker->lock);
    if (failed < 0) {
        worker->slot_error = err;
        return -1;
    }
    executor->slot = slot;
    worker->slots_open++;
    worker->no_slot_since_us = 0;
    cond_signal(&worker->capacity_freed);
    return 0;
}

static void close_slot(struct executor *executor)
{
    struct worker *worker = executor->worker;

    mutex_lock(&worker->lock);
    struct sandbox_slot *slot = executor->slot;
    executor->slot = NULL;
    if (--worker->slots_open == 0)
        worker->no_slot_since_us = clock_mono_us();
    mutex_unlock(&worker->lock);
    sandbox_slot_close(slot);
}

/* Retries until the slot is open.  False if the worker stops first. */
static bool reopen_slot(struct executor *executor)
{
    struct worker *worker = executor->worker;

    for (uint32_t try = 1;; try++) {
        if (open_slot(executor) == 0) {
            log_info("executor-%u: its sandbox slot is open again", executor->number);
            return true;
        }
        lock_guard(&worker->lock);
        if (try == 1)
            log_error("executor-%u: cannot open its sandbox slot: %s; retrying", executor->number,
                      worker->slot_error.text);
        if (worker->phase != WORKER_STOPPING)
            (void)cond_wait_for(&worker->retry_now, &worker->lock,
                                backoff_ms(try, BACKOFF_MIN_MS, BACKOFF_MAX_MS) * 1000);
        if (worker->phase == WORKER_STOPPING)
            return false;
    }
}

/* Waits for a step.  False when the worker stops. */
static bool take_step(struct executor *executor, struct running_step *running)
{
    struct worker *worker = executor->worker;

    lock_guard(&worker->lock);
    for (;;) {
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

/* False: the host cannot run the step now, and the slot is closed. */
static bool run_with_retry(struct executor *executor, struct running_step *running)
{
    const struct sandbox *sandbox = executor->worker->sandbox;
    unsigned deaths = 0;

    for (int try = 1; try <= 2; try++) {
        unsigned restarts_before = sandbox_restarts(sandbox);
        running->failed = run_once(executor, running) < 0;
        if (!running->failed)
            return true;
        if (running->error.kind != ERROR_SANDBOX)
            break; /* the slot works; this step cannot be run anywhere */
        log_warn("executor-%u: %s of submission %s: %s", executor->number,
                 running->step.kind == STEP_COMPILE ? "compile" : "run", running->job->token, running->error.text);
        if (is_aborted(executor, running->job))
            break;
        if (sandbox_restarts(sandbox) != restarts_before && ++deaths < LAUNCHER_DEATHS_MAX) {
            try--;
            continue;
        }
        if (try == 2) {
            close_slot(executor);
            return open_slot(executor) == 0;
        }
    }
    return true;
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

/* With the lock held.  A compile step that could not be run ends as a program without an artifact. */
static void fail_step(struct running_step *running)
{
    if (running->step.kind == STEP_RUN) {
        job_internal_error(running->job, running->step.at, running->error.text);
        return;
    }
    compiled_init(&running->compiled);
    (void)snprintf(running->compiled.message, sizeof running->compiled.message, "%.*s",
                   (int)sizeof running->compiled.message - 1, running->error.text);
    job_compiled(running->job, running->step.at, &running->compiled);
}

/* Stores the outcome in the job, or queues the step again if it has not been run. */
static void finish_step(struct executor *executor, struct running_step *running, bool was_run, uint64_t took_us)
{
    struct worker *worker = executor->worker;
    struct job *job = running->job;

    lock_guard(&worker->lock);
    size_t ready_before = job->steps_len;
    if (!was_run)
        job_return_step(job, running->step);
    else if (running->failed)
        fail_step(running);
    else if (running->step.kind == STEP_COMPILE)
        job_compiled(job, running->step.at, &running->compiled);
    else
        job_ran(job, running->step.at, &running->outcome, &running->result);
    size_t added = job->steps_len - ready_before;
    worker->steps_ready += added;
    worker_count_busy(worker, clock_mono_us());
    worker->steps_running--;
    worker->step_us = worker->step_us / 8 * 7 + took_us / 8;
    executor->job = NULL;
    /* This executor takes one of the new steps itself. */
    for (size_t i = was_run ? 1 : 0; i < added && i < worker->executors_len; i++)
        cond_signal(&worker->step_ready);
    cond_signal(&worker->capacity_freed);
    worker_check_end(worker, job);
}

void *executor_main(void *context)
{
    struct executor *executor = context;
    struct worker *worker = executor->worker;

    (void)open_slot(executor);
    mutex_lock(&worker->lock);
    worker->executors_tried++;
    cond_broadcast(&worker->progress);
    mutex_unlock(&worker->lock);

    for (;;) {
        struct running_step running = { 0 };
        if (executor->slot == NULL && !reopen_slot(executor))
            return NULL;
        if (!take_step(executor, &running))
            break;
        uint64_t begin_us = clock_mono_us();
        bool was_run = run_with_retry(executor, &running);
        if (was_run)
            count_step(&running);
        finish_step(executor, &running, was_run, clock_mono_us() - begin_us);
    }
    close_slot(executor);
    return NULL;
}
