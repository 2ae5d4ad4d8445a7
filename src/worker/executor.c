/*
 * slot: a thread with a box.  It takes the oldest ready step, does it, hands in what came of it.
 *
 * A box that breaks is not the program's fault until it has broken twice with it:
 *   first error        the step is done again in the box, which has repaired itself
 *   second error       the box is opened anew.  If that works, the program is what breaks boxes: its test (or all tests
 *                      of a program that cannot be compiled) ends as an internal error.  If it does not, the host is to
 *                      blame: the step goes back to the queue, and the slot tries to open its box until it can.
 * An error because the launcher died is not counted: it ends all boxes, whatever they run.  But one that dies ten times
 * during one step is counted, so that no step is tried for ever.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "metrics/metrics.h"
#include "worker/worker_internal.h"

#define LAUNCHER_DEATHS_MAX 10 /* during one step */

/* What came of a step, until it is handed in under the lock. */
struct running_step {
    struct job *job;
    struct step step;
    struct compiled compiled;   /* STEP_COMPILE */
    struct run_outcome outcome; /* STEP_RUN */
    struct result result;
    bool failed; /* error says why */
    struct error error;
};

static int box_try(struct executor *executor)
{
    struct worker *worker = executor->worker;
    struct sandbox_slot *slot = NULL;
    struct error err;

    int outcome = sandbox_slot_open(worker->sandbox, executor->number, &slot, &err);
    (void)pthread_mutex_lock(&worker->lock);
    if (outcome == 0) {
        executor->slot = slot;
        worker->slots_open++;
        worker->no_slot_since_us = 0;
        (void)pthread_cond_signal(&worker->room);
    } else {
        worker->slot_error = err;
    }
    (void)pthread_mutex_unlock(&worker->lock);
    return outcome;
}

static void box_drop(struct executor *executor)
{
    struct worker *worker = executor->worker;

    (void)pthread_mutex_lock(&worker->lock);
    struct sandbox_slot *slot = executor->slot;
    executor->slot = NULL;
    if (--worker->slots_open == 0)
        worker->no_slot_since_us = clock_mono_us();
    (void)pthread_mutex_unlock(&worker->lock);
    sandbox_slot_close(slot);
}

/* Until the box is open; false if the worker ends first. */
static bool box_reopen(struct executor *executor)
{
    struct worker *worker = executor->worker;

    for (uint32_t try = 1;; try++) {
        if (box_try(executor) == 0) {
            log_info("slot %u: its box is open again", executor->number);
            return true;
        }
        (void)pthread_mutex_lock(&worker->lock);
        if (try == 1)
            log_error("slot %u: %s; trying again until it works", executor->number, worker->slot_error.text);
        bool ending = worker->ending;
        if (!ending)
            (void)worker_wait(worker, &worker->retry, worker_backoff_ms(try));
        ending = worker->ending;
        (void)pthread_mutex_unlock(&worker->lock);
        if (ending)
            return false;
    }
}

/* Waits for a step; false when the worker ends. */
static bool take_step(struct executor *executor, struct running_step *running_step)
{
    struct worker *worker = executor->worker;

    (void)pthread_mutex_lock(&worker->lock);
    for (;;) {
        for (struct job *job = worker->job; job != NULL; job = job->next)
            if (job_take_step(job, &running_step->step)) {
                running_step->job = executor->job = job;
                worker->steps_ready--;
                worker_count_busy(worker, clock_mono_us());
                worker->steps_running++;
                (void)pthread_mutex_unlock(&worker->lock);
                return true;
            }
        if (worker->ending)
            break;
        (void)pthread_cond_wait(&worker->work, &worker->lock);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    return false;
}

static int do_step(struct executor *executor, struct running_step *running_step)
{
    struct worker *worker = executor->worker;
    struct submission *submission = &running_step->job->submission;
    struct artifact_cache *artifacts = submission->fresh ? NULL : worker->cache;
    struct result_cache *results = submission->fresh || !submission->cache_results ? NULL : worker->results;

    if (running_step->step.kind == STEP_COMPILE)
        return step_compile(executor->slot, artifacts, &submission->programs[running_step->step.at],
                            &running_step->compiled, &running_step->error);
    /* A program's artifact is not changed any more once its run steps are queued, so it is read without the lock. */
    const struct test *test = &submission->tests[running_step->step.at];
    return step_run(executor->slot, results, submission, test, &running_step->job->programs[test->program],
                    &running_step->outcome, &running_step->result, &running_step->error);
}

static bool is_given_up(struct executor *executor, const struct job *job)
{
    (void)pthread_mutex_lock(&executor->worker->lock);
    bool given_up = job->end != JOB_COMPLETE;
    (void)pthread_mutex_unlock(&executor->worker->lock);
    return given_up;
}

/* false: the host cannot run it now; the slot has no box any more. */
static bool do_step_safely(struct executor *executor, struct running_step *running_step)
{
    const struct sandbox *sandbox = executor->worker->sandbox;
    unsigned deaths = 0;
    for (int try = 1; try <= 2; try++) {
        unsigned before = sandbox_restarts(sandbox);
        running_step->failed = do_step(executor, running_step) < 0;
        if (!running_step->failed)
            return true;
        if (running_step->error.kind != ERROR_SANDBOX)
            break; /* the box is well: this step can never be built */
        log_warn("slot %u: %s of submission %s: %s", executor->number,
                 running_step->step.kind == STEP_COMPILE ? "compile" : "run", running_step->job->token,
                 running_step->error.text);
        if (is_given_up(executor, running_step->job))
            break;
        if (sandbox_restarts(sandbox) != before && ++deaths < LAUNCHER_DEATHS_MAX) {
            try--;
            continue;
        }
        if (try == 2) {
            box_drop(executor);
            return box_try(executor) == 0;
        }
    }
    return true;
}

static void count_step(const struct running_step *running_step)
{
    const struct submission *submission = &running_step->job->submission;
    char language[64];

    if (running_step->failed)
        return;
    if (running_step->step.kind == STEP_COMPILE) {
        const struct language *compiler = submission->programs[running_step->step.at].language;
        (void)snprintf(language, sizeof language, "%.*s", TEXT_ARG(compiler->id));
        if (compiler->compile.words_len > 0)
            metrics_cache(language, running_step->compiled.cached);
        return;
    }
    (void)snprintf(language, sizeof language, "%.*s", TEXT_ARG(running_step->result.language));
    metrics_execution(language, running_step->result.stats.wall_us);
}

/* With the lock held: a compile step that could not be done ends as a program without artifact. */
static void step_failed(struct running_step *running_step)
{
    if (running_step->step.kind == STEP_RUN) {
        job_could_not_run(running_step->job, running_step->step.at, running_step->error.text);
        return;
    }
    compiled_init(&running_step->compiled);
    (void)snprintf(running_step->compiled.message, sizeof running_step->compiled.message, "%.*s",
                   (int)sizeof running_step->compiled.message - 1, running_step->error.text);
    job_compiled(running_step->job, running_step->step.at, &running_step->compiled);
}

static void step_done(struct executor *executor, struct running_step *running_step, bool done, uint64_t took_us)
{
    struct worker *worker = executor->worker;
    struct job *job = running_step->job;

    (void)pthread_mutex_lock(&worker->lock);
    size_t ready_before = job->steps_len;
    if (!done)
        job_return_step(job, running_step->step);
    else if (running_step->failed)
        step_failed(running_step);
    else if (running_step->step.kind == STEP_COMPILE)
        job_compiled(job, running_step->step.at, &running_step->compiled);
    else
        job_ran(job, running_step->step.at, &running_step->outcome, &running_step->result);
    size_t added = job->steps_len - ready_before;
    worker->steps_ready += added;
    worker_count_busy(worker, clock_mono_us());
    worker->steps_running--;
    worker->step_us = worker->step_us / 8 * 7 + took_us / 8;
    executor->job = NULL;
    /* This slot takes one of the new steps itself. */
    for (size_t i = done ? 1 : 0; i < added && i < worker->slots_len; i++)
        (void)pthread_cond_signal(&worker->work);
    (void)pthread_cond_signal(&worker->room);
    worker_check_end(worker, job);
    (void)pthread_mutex_unlock(&worker->lock);
}

void *executor_main(void *context)
{
    struct executor *executor = context;
    struct worker *worker = executor->worker;
    char name[16];

    (void)snprintf(name, sizeof name, "slot-%u", executor->number % 100000);
    (void)pthread_setname_np(pthread_self(), name);
    bool open = box_try(executor) == 0;
    (void)pthread_mutex_lock(&worker->lock);
    worker->slots_tried++;
    (void)pthread_cond_broadcast(&worker->changed);
    (void)pthread_mutex_unlock(&worker->lock);

    for (;;) {
        struct running_step running_step = { 0 };
        if (!open && !box_reopen(executor))
            return NULL;
        if (!take_step(executor, &running_step))
            break;
        uint64_t begin_us = clock_mono_us();
        bool done = do_step_safely(executor, &running_step);
        if (done)
            count_step(&running_step);
        step_done(executor, &running_step, done, clock_mono_us() - begin_us);
        open = executor->slot != NULL; /* only this thread changes it */
    }
    box_drop(executor);
    return NULL;
}
