/*
 * held: see the header.  Nothing here talks to the store, a box or a thread.
 */
#include "worker/held.h"

#include <assert.h>
#include <inttypes.h>

#include "base/clock.h"
#include "job/submission_json.h"

/*
 * Outputs of one submission kept until it is finished.  1,000 tests of 16 MiB each would otherwise fill the memory of
 * the worker, and the store.
 */
#define OUTPUT_BYTES_MAX (64u << 20)

static void *zeroed_array(size_t len, size_t bytes_each)
{
    void *array = calloc(len > 0 ? len : 1, bytes_each);

    if (array == NULL)
        abort(); /* bounded by REQUEST_TESTS_MAX; the lease runs out and another worker has it */
    return array;
}

static void queue_step(struct held *held, enum step_kind kind, uint32_t at)
{
    assert(held->steps_len < held->steps_room);
    held->steps[(held->steps_first + held->steps_len++) % held->steps_room] = (struct step){ kind, at };
}

/* Which program needs a language that is not here; NULL if this worker can run all. */
static const struct language *missing_language(const struct submission *submission)
{
    for (size_t i = 0; i < submission->programs_len; i++)
        if (!submission->programs[i].language->available)
            return submission->programs[i].language;
    return NULL;
}

/*
 * A language this worker lacks is no fault of the submission (a batch in several languages may reach any worker):
 * its lease is left to run out, so that another worker gets it; the last attempt fails with the reason.
 */
static void set_missing_language(struct held *held, const char *why, uint64_t attempts_max)
{
    held->end = held->attempt < attempts_max ? HELD_FORGET : HELD_FAIL;
    (void)snprintf(held->reason, sizeof held->reason, "%s", why);
}

static void decode(struct held *held, struct text payload, const struct languages *languages, uint64_t attempts_max)
{
    struct error err;

    if (submission_decode(payload, languages, &held->submission, &err) < 0) {
        held->submission = (struct submission){ 0 };
        held->end = HELD_FAIL;
        (void)snprintf(held->reason, sizeof held->reason, "%s", err.text);
        if (err.kind == ERROR_SANDBOX)
            set_missing_language(held, err.text, attempts_max);
        return;
    }
    const struct language *missing = missing_language(&held->submission);
    if (missing != NULL) {
        char why[sizeof held->reason];
        (void)snprintf(why, sizeof why, "language %.*s is not installed on the worker", TEXT_ARG(missing->id));
        set_missing_language(held, why, attempts_max);
    }
}

struct held *held_new(struct store_claim *claim, const struct languages *languages, uint64_t attempts_max)
{
    struct held *held = zeroed_array(1, sizeof *held);

    memcpy(held->token, claim->token, sizeof held->token);
    held->attempt = claim->attempt;
    held->claimed_us = clock_mono_us();
    held->end = HELD_FINISH;
    decode(held, buf_text(&claim->payload), languages, attempts_max);
    store_claim_done(claim);

    size_t programs_len = held->submission.programs_len, tests_len = held->submission.tests_len;
    held->programs = zeroed_array(programs_len, sizeof *held->programs);
    held->tests = zeroed_array(tests_len, sizeof *held->tests);
    held->results = zeroed_array(tests_len, sizeof *held->results);
    held->steps_room = programs_len + tests_len;
    held->steps = zeroed_array(held->steps_room, sizeof *held->steps);
    for (size_t i = 0; i < programs_len; i++)
        compiled_init(&held->programs[i]);
    if (held->end != HELD_FINISH)
        return held;
    held->tests_left = tests_len;
    for (uint32_t i = 0; i < programs_len; i++)
        queue_step(held, STEP_COMPILE, i);
    return held;
}

void held_free(struct held *held)
{
    assert(held->running == 0);
    for (size_t i = 0; i < held->submission.tests_len; i++)
        if (held->tests[i].has_outcome)
            box_outcome_done(&held->tests[i].outcome);
    for (size_t i = 0; i < held->submission.programs_len; i++)
        compiled_done(&held->programs[i]);
    free(held->steps);
    free(held->results);
    free(held->tests);
    free(held->programs);
    submission_done(&held->submission);
    free(held);
}

bool held_take_step(struct held *held, struct step *ret_step)
{
    if (held->steps_len == 0)
        return false;
    *ret_step = held->steps[held->steps_first];
    held->steps_first = (held->steps_first + 1) % held->steps_room;
    held->steps_len--;
    held->running++;
    held->begun = true;
    return true;
}

void held_return_step(struct held *held, struct step step)
{
    assert(held->running > 0 && held->steps_len < held->steps_room);
    held->running--;
    if (held->end != HELD_FINISH)
        return;
    held->steps_first = (held->steps_first + held->steps_room - 1) % held->steps_room;
    held->steps[held->steps_first] = step;
    held->steps_len++;
}

void held_compiled(struct held *held, uint32_t program, struct compiled *compiled)
{
    struct compiled *kept = &held->programs[program];

    assert(held->running > 0 && !kept->ok);
    held->running--;
    compiled_done(kept);
    *kept = *compiled;
    if (held->end != HELD_FINISH)
        return;
    for (uint32_t i = 0; i < held->submission.tests_len; i++) {
        const struct test *test = &held->submission.tests[i];
        if (test->program != program)
            continue;
        if (kept->ok) {
            queue_step(held, STEP_RUN, i);
            continue;
        }
        runner_not_compiled(&held->submission, test, kept, &held->results[i]);
        assert(held->tests_left > 0);
        held->tests_left--;
    }
}

/* Keeps the verdict and the figures of a result, without the text that would be too much. */
static void leave_output_out(struct held_test *kept, struct result *result)
{
    box_outcome_done(&kept->outcome);
    kept->has_outcome = false;
    result->output_cut = result->output_cut || result->output.len > 0;
    result->errors_cut = result->errors_cut || result->errors.len > 0;
    result->output = result->errors = (struct text){ 0 };
    (void)snprintf(kept->message, sizeof kept->message,
                   "the outputs of this submission are more than %u MiB together; this one was left out",
                   OUTPUT_BYTES_MAX >> 20);
    result->message = text_of(kept->message);
}

void held_ran(struct held *held, uint32_t test, struct box_outcome *outcome, const struct result *result)
{
    struct held_test *kept = &held->tests[test];
    uint64_t bytes = result->output.len + result->errors.len;

    assert(held->running > 0 && held->tests_left > 0 && !kept->has_outcome);
    held->running--;
    /* The result's texts point to the buffers' memory, which moves with them. */
    kept->outcome = *outcome;
    kept->has_outcome = true;
    held->results[test] = *result;
    held->tests_left--;
    if (bytes > OUTPUT_BYTES_MAX - held->output_bytes)
        leave_output_out(kept, &held->results[test]);
    else
        held->output_bytes += bytes;
}

void held_could_not_run(struct held *held, uint32_t test, const char *why)
{
    const struct test *asked = &held->submission.tests[test];
    const struct program *program = &held->submission.programs[asked->program];
    struct held_test *kept = &held->tests[test];

    assert(held->running > 0 && held->tests_left > 0);
    held->running--;
    (void)snprintf(kept->message, sizeof kept->message, "%s", why);
    held->results[test] = (struct result){
        .element = asked->element,
        .index = asked->index,
        .verdict = VERDICT_INTERNAL_ERROR,
        .message = text_of(kept->message),
        .errors = text_of(kept->message),
        .language = program->language->id,
        .version = program->language->version,
        .wants_base64 = asked->wants_base64,
    };
    held->tests_left--;
}

size_t held_give_up(struct held *held, enum held_end end)
{
    size_t dropped = held->steps_len;

    assert(end == HELD_HAND_BACK || end == HELD_FORGET);
    held->end = end;
    held->steps_len = 0;
    return dropped;
}
