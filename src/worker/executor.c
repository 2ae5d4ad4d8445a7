/*
 * executor: a thread that drives one sandbox slot.  It takes the next step of the schedule, runs it and stores its
 * outcome.
 *
 * A slot that breaks may have broken for any reason, so a step that failed is run once more, in a new slot process.  If
 * that fails, too, evalx cannot know whether the host or the program is the cause.  So the run has no result:
 *
 *   the submission  is returned to the store, which queues it again after a delay and gives it up after many;
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

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/result_json.h"
#include "metrics/metrics.h"
#include "worker/worker_internal.h"

#define LAUNCHER_DEATHS_MAX 10
#define LOOK_WAIT_US 20000u      /* a store that takes longer to answer is not waited for */
#define PAYLOADS_MAX (64u << 20) /* of payloads; with more the worker makes no look */

/* A step in the hands of an executor, and its outcome. */
struct running_step {
    struct job *job;
    struct step step;
    char key[HASH_HEX_BYTES];   /* of the flight that this compile step began, or "" */
    struct compiled compiled;   /* STEP_COMPILE */
    struct run_outcome outcome; /* STEP_RUN */
    struct result result;
    bool refused; /* it compiled, but to more than its submission may keep */
    bool failed;  /* error has the reason */
    struct error error;
};

/* With the lock held.  A look costs a call of the store, so there is one in LOOK_EVERY_US at most. */
static bool look_is_due(struct worker *worker)
{
    struct store_filter ignored;
    uint64_t now_us = clock_mono_us();
    size_t bytes = 0;

    if (worker->phase != WORKER_RUNNING || worker->alone != NULL || worker->fetcher_pulse_us != 0 ||
        worker->look_wanted || now_us - worker->looked_us < LOOK_EVERY_US || worker->jobs_len >= JOBS_HELD_MAX)
        return false;
    worker->looked_us = now_us;
    for (const struct job *job = worker->jobs; job != NULL; job = job->next)
        bytes += job->payload_bytes;
    return bytes < PAYLOADS_MAX && schedule_look(&worker->schedule, &ignored);
}

/* With the lock held: lets the fetcher claim what should go before the jobs held here.  Does not wait for long. */
static void wait_for_look(struct worker *worker)
{
    uint64_t deadline_us = sync_now_us() + LOOK_WAIT_US;

    worker->look_wanted = true;
    cond_signal(&worker->capacity_freed);
    while (worker->look_wanted && worker->phase == WORKER_RUNNING &&
           cond_wait_until(&worker->looked, &worker->lock, deadline_us))
        ;
}

/* Waits for a step.  False when the worker stops, or the slot has to be proven first. */
static bool take_step(struct executor *executor, struct running_step *running)
{
    struct worker *worker = executor->worker;

    lock_guard(&worker->lock);
    for (;;) {
        if (executor->proven != worker->sandbox_failures || executor->image_tests != worker->image_tests)
            return false;
        if (worker->steps_ready > 0 && look_is_due(worker)) {
            wait_for_look(worker);
            continue;
        }
        struct schedule_entry *next = schedule_next(&worker->schedule);
        if (next != NULL) {
            running->job = executor->job = job_of_turn(next);
            (void)job_take_step(running->job, &running->step);
            schedule_step_started(&worker->schedule, next);
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

/* With the lock held: the executor is free again. */
static void let_go(struct executor *executor, struct job *job)
{
    struct worker *worker = executor->worker;

    worker_count_busy(worker, clock_mono_us());
    worker->steps_running--;
    schedule_step_ended(&job->turn);
    executor->job = NULL;
    cond_signal(&worker->capacity_freed);
}

/* True: an equal program is being compiled, so the step waits for that without an executor. */
static bool join_flight(struct executor *executor, struct running_step *running)
{
    struct worker *worker = executor->worker;
    struct job *job = running->job;
    char key[HASH_HEX_BYTES];
    struct error ignored; /* step_compile finds it, too */

    if (running->step.kind != STEP_COMPILE || job->submission.fresh || worker->cache == NULL ||
        step_compile_key(&job->submission, &job->submission.programs[running->step.at], key, &ignored) < 0 ||
        key[0] == '\0')
        return false;
    lock_guard(&worker->lock);
    if (job->end != JOB_COMPLETE)
        return false;
    if (!flights_join(&worker->flights, key, job, running->step.at)) {
        memcpy(running->key, key, sizeof key);
        return false;
    }
    job_park_step(job);
    let_go(executor, job);
    return true;
}

/* With the lock held: gives the outcome of a compile step to the steps that wait for it, or queues them again. */
static void end_flight(struct worker *worker, const struct running_step *running)
{
    const struct compiled *outcome = &running->compiled;
    bool is_outcome = !running->failed && !running->refused &&
                      (outcome->verdict == VERDICT_ACCEPTED || outcome->verdict == VERDICT_COMPILE_ERROR);
    struct flight_waiter *waiter = flights_end(&worker->flights, running->key);

    while (waiter != NULL) {
        struct flight_waiter *next = waiter->next;
        struct job *job = waiter->job;
        struct compiled copy;
        enum artifact_room room;
        uint64_t bytes;
        size_t ready_before = job->turn.ready;
        if (is_outcome && compiled_copy(outcome, &copy)) {
            if (copy.ok) /* the archive is counted already, so there is room */
                (void)worker_count_artifact(worker, job, &copy, &room, &bytes);
            job_unpark_step(job);
            job_compiled(job, waiter->program, &copy);
        } else {
            job_requeue_step(job, (struct step){ STEP_COMPILE, waiter->program });
        }
        worker->steps_ready += job->turn.ready - ready_before;
        cond_broadcast(&worker->step_ready);
        worker_check_end(worker, job);
        free(waiter);
        waiter = next;
    }
}

static int run_once(struct executor *executor, struct running_step *running)
{
    struct worker *worker = executor->worker;
    struct submission *submission = &running->job->submission;
    struct result_cache *results = submission->fresh || !submission->cache_results ? NULL : worker->results;

    if (running->step.kind == STEP_COMPILE)
        return step_compile(executor->slot, running->key[0] != '\0' ? worker->cache : NULL, running->key,
                            worker->config->artifact_bytes_max, &submission->programs[running->step.at],
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

/* Counts what was compiled, and moves it to the disk if the worker keeps too much in memory. */
static void keep_artifact(struct executor *executor, struct running_step *running)
{
    struct worker *worker = executor->worker;
    struct compiled *compiled = &running->compiled;
    enum artifact_room room;
    uint64_t bytes;
    int file_fd = -1;

    if (running->failed || running->step.kind != STEP_COMPILE || !compiled->ok)
        return;
    mutex_lock(&worker->lock);
    running->refused = !worker_count_artifact(worker, running->job, compiled, &room, &bytes);
    mutex_unlock(&worker->lock);
    if (running->refused || room == ARTIFACT_FITS)
        return;
    if (room == ARTIFACT_SPILL) {
        (void)artifact_spill(&worker->budget, compiled->archive_fd, &file_fd, &running->error);
        mutex_lock(&worker->lock);
        artifact_budget_spilled(&worker->budget, file_fd, bytes);
        mutex_unlock(&worker->lock);
    } else {
        (void)error_set(&running->error, ERROR_BUSY, 0,
                        "artifact_memory_bytes and artifact_disk_bytes have no room for another compiled program");
    }
    running->failed = file_fd < 0;
    if (running->failed) {
        compiled_done(compiled);
        return;
    }
    cleanup_close(&compiled->archive_fd);
    compiled->archive_fd = file_fd;
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
    const char *image = submission->programs[program].language->image.at;
    /* Busy: there is no room for what was compiled. */
    if (running->error.kind != ERROR_BUSY && worker_image_works(worker, image))
        worker_sandbox_failed(worker, image, &running->error);
}

/* Stores the outcome in the job. */
static void finish_step(struct executor *executor, struct running_step *running, uint64_t took_us)
{
    struct worker *worker = executor->worker;
    struct job *job = running->job;

    bool has_result = !running->failed && running->step.kind == STEP_RUN;
    uint64_t outputs_bytes = has_result ? result_outputs_bytes(&running->result) : 0;

    lock_guard(&worker->lock);
    if (running->key[0] != '\0')
        end_flight(worker, running);
    size_t ready_before = job->turn.ready;
    let_go(executor, job);
    if (running->failed)
        fail_step(executor, running);
    else if (running->step.kind == STEP_COMPILE)
        job_compiled(job, running->step.at, &running->compiled);
    else
        worker->steps_ready -= job_ran(job, running->step.at, &running->outcome, &running->result, outputs_bytes);
    size_t added = job->turn.ready > ready_before ? job->turn.ready - ready_before : 0; /* fewer if some were dropped */
    worker->steps_ready += added;
    worker->step_us = worker->step_us / 8 * 7 + took_us / 8;
    /* This executor takes one of the new steps itself. */
    for (size_t i = 1; i < added && i < worker->executors_len; i++)
        cond_signal(&worker->step_ready);
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
        if (join_flight(executor, &running))
            continue;
        uint64_t begin_us = clock_mono_us();
        run_with_retry(executor, &running);
        keep_artifact(executor, &running);
        count_step(&running);
        finish_step(executor, &running, clock_mono_us() - begin_us);
    }
    executor_slot_close(executor);
    return NULL;
}
