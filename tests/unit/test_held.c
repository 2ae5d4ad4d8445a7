/* held: in which order the steps of a submission come, what each result becomes, and when it has ended. */
#include "fixture.h"

#include "job/request_json.h"
#include "job/submission_json.h"
#include "worker/held.h"

/* c (0), python (1), c again: two programs, four tests. */
#define BATCH                                                                                                          \
    "[{\"language\":\"c\",\"version\":\"*\",\"code\":\"a\"},{\"stdin\":\"x\"},"                                        \
    "{\"language\":\"python\",\"version\":\"*\",\"code\":\"b\"},{\"stdin\":\"y\"}]"

static struct store_claim claim_of(const char *batch, uint32_t attempt)
{
    struct store_claim claim = { .attempt = attempt, .payload = { .max = 1u << 20 } };
    struct submission submission;
    struct error err;

    assert_ok(request_decode(text_of(batch), REQUEST_BATCH, &languages, &config, &submission, &err), err);
    assert_ok(submission_encode(&submission, &claim.payload, &err), err);
    memcpy(claim.token, submission.token, sizeof claim.token);
    submission_done(&submission);
    return claim;
}

static void set_available(bool available)
{
    for (size_t i = 0; i < languages.len; i++)
        languages.list[i].available = available;
}

static struct held *new_held(void)
{
    struct store_claim claim = claim_of(BATCH, 1);

    set_available(true);
    struct held *held = held_new(&claim, &languages, 3);
    assert_int_equal(held->end, HELD_FINISH);
    assert_null(claim.payload.at); /* the claim is used up */
    return held;
}

static void assert_next(struct held *held, enum step_kind kind, uint32_t at)
{
    struct step step;

    assert_true(held_take_step(held, &step));
    assert_int_equal(step.kind, kind);
    assert_int_equal(step.at, at);
}

static void assert_none(struct held *held)
{
    struct step step;

    assert_false(held_take_step(held, &step));
}

static void compile(struct held *held, uint32_t program, bool ok)
{
    struct compiled compiled;
    struct error err;

    compiled_init(&compiled);
    compiled.ok = ok;
    compiled.verdict = ok ? VERDICT_ACCEPTED : VERDICT_COMPILE_ERROR;
    compiled.compile_us = 1234;
    assert_ok(buf_append_text(&compiled.output, TEXT("said the compiler"), &err), err);
    held_compiled(held, program, &compiled);
}

static void ran(struct held *held, uint32_t test, const char *output)
{
    struct box_outcome outcome = { .bundle_fd = -1, .output = { .max = 64u << 20 } };
    struct error err;

    assert_ok(buf_append_text(&outcome.output, text_of(output), &err), err);
    struct result result = { .verdict = VERDICT_ACCEPTED, .output = buf_text(&outcome.output), .element = test };
    held_ran(held, test, &outcome, &result);
}

static void programs_compile_before_their_tests_run(void **state)
{
    (void)state;
    struct held *held = new_held();

    assert_int_equal(held->submission.programs_len, 2);
    assert_int_equal(held->submission.tests_len, 4);
    assert_next(held, STEP_COMPILE, 0);
    assert_next(held, STEP_COMPILE, 1);
    assert_none(held);
    compile(held, 1, true); /* the second is ready first: its tests need not wait for the other program */
    for (uint32_t i = 0; i < 4; i++)
        if (held->submission.tests[i].program == 1)
            assert_next(held, STEP_RUN, i);
    assert_none(held);
    compile(held, 0, true);
    for (uint32_t i = 0; i < 4; i++)
        if (held->submission.tests[i].program == 0)
            assert_next(held, STEP_RUN, i);
    assert_none(held);
    assert_int_equal(held->running, 4);
    for (uint32_t i = 4; i-- > 0;) { /* whatever the order they end in */
        assert_true(held_is_open(held));
        char output[2] = { (char)('0' + i), '\0' };
        ran(held, i, output);
    }
    assert_false(held_is_open(held));
    for (uint32_t i = 0; i < 4; i++) { /* results are in the order of the request */
        assert_int_equal(held->results[i].element, i);
        assert_int_equal(held->results[i].output.at[0], '0' + i);
    }
    held_free(held);
}

static void a_program_that_does_not_compile_ends_its_tests_only(void **state)
{
    (void)state;
    struct held *held = new_held();
    size_t ended = 0;

    assert_next(held, STEP_COMPILE, 0);
    assert_next(held, STEP_COMPILE, 1);
    compile(held, 0, false);
    assert_none(held);
    for (uint32_t i = 0; i < 4; i++) {
        if (held->submission.tests[i].program != 0)
            continue;
        const struct result *result = &held->results[i];
        ended++;
        assert_int_equal(result->verdict, VERDICT_COMPILE_ERROR);
        assert_text_equal(result->errors, "said the compiler");
        assert_int_equal(result->compile_us, 1234);
        assert_int_not_equal(result_exit_code(result), 0); /* clients take 0 and no stderr for passed */
    }
    assert_true(ended > 0);
    assert_int_equal(held->tests_left, 4 - ended);
    assert_true(held_is_open(held));
    compile(held, 1, true);
    struct step step;
    while (held_take_step(held, &step))
        ran(held, step.at, "fine");
    assert_false(held_is_open(held));
    held_free(held);
}

static void a_returned_step_is_the_next_one(void **state)
{
    (void)state;
    struct held *held = new_held();
    struct step step;

    assert_true(held_take_step(held, &step));
    held_return_step(held, step);
    assert_int_equal(held->running, 0);
    assert_next(held, STEP_COMPILE, 0);
    assert_next(held, STEP_COMPILE, 1);
    compile(held, 0, true);
    assert_true(held_take_step(held, &step));
    held_return_step(held, step); /* the ring turns past its end */
    assert_next(held, STEP_RUN, step.at);
    held_could_not_run(held, step.at, "the box broke twice");
    assert_int_equal(held->results[step.at].verdict, VERDICT_INTERNAL_ERROR);
    assert_text_equal(held->results[step.at].message, "the box broke twice");
    assert_int_not_equal(result_exit_code(&held->results[step.at]), 0);
    compile(held, 1, true);
    while (held_take_step(held, &step))
        ran(held, step.at, "");
    assert_false(held_is_open(held));
    held_free(held);
}

static void after_giving_up_nothing_is_queued(void **state)
{
    (void)state;
    struct held *held = new_held();
    struct step step;

    assert_next(held, STEP_COMPILE, 0);
    assert_int_equal(held_give_up(held, HELD_HAND_BACK), 1); /* the other compile step went */
    assert_none(held);
    assert_false(held_is_open(held));
    compile(held, 0, true); /* was in the hands of a slot */
    assert_none(held);
    assert_int_equal(held->running, 0);
    held_free(held);

    held = new_held();
    assert_true(held_take_step(held, &step));
    (void)held_give_up(held, HELD_FORGET);
    held_return_step(held, step);
    assert_none(held);
    held_free(held);
}

static void what_cannot_be_run_is_born_with_its_end(void **state)
{
    (void)state;
    struct store_claim claim = { .attempt = 1, .payload = { .max = 100 } };
    struct error err;

    assert_ok(buf_append_text(&claim.payload, TEXT("garbage"), &err), err);
    struct held *held = held_new(&claim, &languages, 3);
    assert_int_equal(held->end, HELD_FAIL);
    assert_contains(held->reason, "unreadable");
    assert_none(held);
    held_free(held);

    /* A language that is not here: another worker may have it, until the last attempt says why it failed. */
    set_available(false);
    for (uint32_t attempt = 1; attempt <= 3; attempt++) {
        claim = claim_of(BATCH, attempt);
        held = held_new(&claim, &languages, 3);
        assert_int_equal(held->end, attempt < 3 ? HELD_FORGET : HELD_FAIL);
        assert_contains(held->reason, "language c is not installed");
        assert_none(held);
        held_free(held);
    }
    set_available(true);
}

/* 64 MiB of output are kept, then verdicts and figures without the text. */
static void outputs_of_one_submission_are_bounded(void **state)
{
    (void)state;
    struct held *held = new_held();
    size_t len = 30u << 20;
    char *much = malloc(len + 1);
    struct step step;

    memset(much, 'x', len);
    much[len] = '\0';
    assert_next(held, STEP_COMPILE, 0);
    assert_next(held, STEP_COMPILE, 1);
    compile(held, 0, true);
    compile(held, 1, true);
    size_t kept = 0, left_out = 0;
    while (held_take_step(held, &step)) {
        ran(held, step.at, much);
        const struct result *result = &held->results[step.at];
        assert_int_equal(result->verdict, VERDICT_ACCEPTED);
        if (result->output.len == len) {
            kept++;
            continue;
        }
        left_out++;
        assert_int_equal(result->output.len, 0);
        assert_true(result->output_cut);
        assert_contains(result->message.at, "64 MiB");
    }
    assert_int_equal(kept, 2);
    assert_int_equal(left_out, 2);
    held_free(held);
    free(much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_compile_before_their_tests_run),
        cmocka_unit_test(a_program_that_does_not_compile_ends_its_tests_only),
        cmocka_unit_test(a_returned_step_is_the_next_one),
        cmocka_unit_test(after_giving_up_nothing_is_queued),
        cmocka_unit_test(what_cannot_be_run_is_born_with_its_end),
        cmocka_unit_test(outputs_of_one_submission_are_bounded),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
