/*
 * job: see the header.  Nothing here calls the store or the sandbox, or waits.
 */
#include "worker/job.h"

#include <assert.h>
#include <inttypes.h>

#include "base/clock.h"
#include "codec/result_json.h"
#include "codec/submission_json.h"

static void *zeroed_array(size_t len, size_t bytes_each)
{
    void *array = calloc(len > 0 ? len : 1, bytes_each);

    if (array == NULL)
        abort(); /* bounded by REQUEST_TESTS_MAX; the lease expires and another worker claims it */
    return array;
}

static void queue_step(struct job *job, enum step_kind kind, uint32_t at)
{
    assert(job->turn.ready < job->steps_cap);
    job->steps[(job->steps_first + job->turn.ready++) % job->steps_cap] = (struct step){ kind, at };
}

/* The first language that is not installed here, or NULL. */
static const struct language *missing_language(const struct submission *submission)
{
    for (size_t i = 0; i < submission->programs_len; i++)
        if (!submission->programs[i].language->available)
            return submission->programs[i].language;
    return NULL;
}

/*
 * A submission in several languages waits in the queue "mixed", which every worker serves, so it may reach a worker
 * that lacks one of them.  That worker returns it at once.  A release would put it to the front of the queue, where
 * the same worker would claim it again.  The fetcher does not claim from "mixed" for a while.
 */
static void missing_language_end(struct job *job, const char *reason)
{
    job->end = JOB_RETURN;
    (void)snprintf(job->reason, sizeof job->reason, "%s", reason);
}

static void decode(struct job *job, struct text payload, const struct languages *languages)
{
    struct error err;

    if (submission_decode(payload, languages, &job->submission, &err) < 0) {
        job->submission = (struct submission){ 0 };
        job->end = JOB_FAIL;
        (void)snprintf(job->reason, sizeof job->reason, "%s", err.text);
        if (err.kind == ERROR_SANDBOX)
            missing_language_end(job, err.text);
        return;
    }
    const struct language *missing = missing_language(&job->submission);
    if (missing != NULL) {
        char reason[sizeof job->reason];
        (void)snprintf(reason, sizeof reason, "language %.*s is not installed on the worker", TEXT_ARG(missing->id));
        missing_language_end(job, reason);
    }
}

struct job *job_new(struct store_claim *claim, const struct languages *languages, uint64_t attempts_max)
{
    struct job *job = zeroed_array(1, sizeof *job);

    memcpy(job->token, claim->token, sizeof job->token);
    job->attempt = claim->attempt;
    job->runs_alone = claim->lost > 0 && claim->lost + 1 >= attempts_max;
    job->claimed_us = clock_mono_us();
    job->end = JOB_COMPLETE;
    job->payload_bytes = claim->payload.len;
    decode(job, buf_text(&claim->payload), languages);
    store_claim_done(claim);

    size_t programs_len = job->submission.programs_len, tests_len = job->submission.tests_len;
    job->programs = zeroed_array(programs_len, sizeof *job->programs);
    job->tests = zeroed_array(tests_len, sizeof *job->tests);
    job->results = zeroed_array(tests_len, sizeof *job->results);
    job->steps_cap = programs_len + tests_len;
    job->steps = zeroed_array(job->steps_cap, sizeof *job->steps);
    for (size_t i = 0; i < programs_len; i++)
        compiled_init(&job->programs[i]);
    if (job->end != JOB_COMPLETE)
        return job;
    job->tests_left = tests_len;
    if (!job->runs_alone)
        job_begin(job);
    return job;
}

void job_begin(struct job *job)
{
    assert(!job->begun);
    job->begun = true;
    for (uint32_t i = 0; i < job->submission.programs_len; i++)
        queue_step(job, STEP_COMPILE, i);
}

void job_free(struct job *job)
{
    assert(job->running == 0);
    for (size_t i = 0; i < job->submission.tests_len; i++)
        if (job->tests[i].has_outcome)
            run_outcome_done(&job->tests[i].outcome);
    for (size_t i = 0; i < job->submission.programs_len; i++)
        compiled_done(&job->programs[i]);
    free(job->steps);
    free(job->results);
    free(job->tests);
    free(job->programs);
    submission_done(&job->submission);
    free(job);
}

bool job_take_step(struct job *job, struct step *ret_step)
{
    if (job->turn.ready == 0)
        return false;
    *ret_step = job->steps[job->steps_first];
    job->steps_first = (job->steps_first + 1) % job->steps_cap;
    job->turn.ready--;
    job->running++;
    job->started = true;
    return true;
}

void job_park_step(struct job *job)
{
    assert(job->running > 0);
    job->running--;
    job->parked++;
}

void job_unpark_step(struct job *job)
{
    assert(job->parked > 0);
    job->parked--;
    job->running++;
}

void job_requeue_step(struct job *job, struct step step)
{
    assert(job->parked > 0 && job->turn.ready < job->steps_cap);
    job->parked--;
    job->steps_first = (job->steps_first + job->steps_cap - 1) % job->steps_cap;
    job->steps[job->steps_first] = step;
    job->turn.ready++;
}

/* Keeps the verdict and the statistics of a result, without its output. */
static void omit_output(struct job_test *kept, struct result *result)
{
    if (kept->has_outcome)
        run_outcome_done(&kept->outcome);
    kept->has_outcome = false;
    result->output_cut = result->output_cut || result->output.len > 0;
    result->errors_cut = result->errors_cut || result->errors.len > 0;
    result->output = result->errors = result->compile_output = (struct text){ 0 };
    (void)snprintf(kept->message, sizeof kept->message,
                   "the outputs of this submission take more than %u MiB of JSON in total; this one was omitted",
                   JOB_OUTPUT_BYTES_MAX >> 20);
    result->message = text_of(kept->message);
}

/* Counts the outputs of a result, and omits them if the job has kept too much. */
static void keep_within_bounds(struct job *job, uint32_t test, uint64_t outputs_bytes)
{
    if (outputs_bytes > JOB_OUTPUT_BYTES_MAX - job->output_bytes)
        omit_output(&job->tests[test], &job->results[test]);
    else
        job->output_bytes += outputs_bytes;
}

void job_compiled(struct job *job, uint32_t program, struct compiled *compiled)
{
    struct compiled *kept = &job->programs[program];

    assert(job->running > 0 && !kept->ok);
    job->running--;
    compiled_done(kept);
    *kept = *compiled;
    if (job->end != JOB_COMPLETE)
        return;
    for (uint32_t i = 0; i < job->submission.tests_len; i++) {
        const struct test *test = &job->submission.tests[i];
        if (test->program != program)
            continue;
        if (kept->ok) {
            queue_step(job, STEP_RUN, i);
            continue;
        }
        step_run_skipped(&job->submission, test, kept, &job->results[i]);
        keep_within_bounds(job, i, result_outputs_bytes(&job->results[i]));
        assert(job->tests_left > 0);
        job->tests_left--;
    }
}

/* Gives the result of a test to those of its program that still wait.  Returns how many. */
static size_t end_other_tests(struct job *job, uint32_t test)
{
    const struct test *tests = job->submission.tests;
    size_t waiting = job->turn.ready, kept = 0;

    for (size_t i = 0; i < waiting; i++) {
        struct step step = job->steps[(job->steps_first + i) % job->steps_cap];
        if (step.kind != STEP_RUN || tests[step.at].program != tests[test].program) {
            job->steps[(job->steps_first + kept++) % job->steps_cap] = step;
            continue;
        }
        struct result *result = &job->results[step.at];
        *result = job->results[test]; /* its strings stay in the outcome of `test` */
        result->element = tests[step.at].element;
        result->index = tests[step.at].index;
        result->wants_base64 = tests[step.at].wants_base64;
        keep_within_bounds(job, step.at, result_outputs_bytes(result));
        job->tests_left--;
    }
    job->turn.ready = kept;
    return waiting - kept;
}

size_t job_ran(struct job *job, uint32_t test, struct run_outcome *outcome, const struct result *result,
               uint64_t outputs_bytes)
{
    struct job_test *kept = &job->tests[test];

    assert(job->running > 0 && job->tests_left > 0 && !kept->has_outcome);
    job->running--;
    /* The result's strings point to the buffers' memory on the heap, so moving the buffers leaves them valid. */
    kept->outcome = *outcome;
    kept->has_outcome = true;
    job->results[test] = *result;
    job->tests_left--;
    keep_within_bounds(job, test, outputs_bytes);
    return result->verdict == VERDICT_COMPILE_ERROR ? end_other_tests(job, test) : 0;
}

void job_step_failed(struct job *job, const char *reason)
{
    assert(job->running > 0);
    job->running--;
    if (job->end == JOB_COMPLETE)
        (void)snprintf(job->reason, sizeof job->reason, "%s", reason);
}

size_t job_abort(struct job *job, enum job_end end)
{
    size_t dropped = job->turn.ready;

    assert(end != JOB_COMPLETE);
    job->end = end;
    job->turn.ready = 0;
    job->parked = 0;
    return dropped;
}
