/* job: the order of its steps, the results of its tests, and when it has ended. */
#include "fixture.h"

#include "codec/request_json.h"
#include "codec/result_json.h"
#include "codec/submission_json.h"
#include "worker/job.h"

/* c (0), python (1), c again: two programs, four tests. */
#define BATCH                                                                                                          \
    "[{\"language\":\"c\",\"version\":\"*\",\"code\":\"a\"},{\"stdin\":\"x\"},"                                        \
    "{\"language\":\"python\",\"version\":\"*\",\"code\":\"b\"},{\"stdin\":\"y\"}]"

static struct store_claim claim_of(const char *batch, uint32_t attempt)
{
    struct store_claim claim = { .attempt = attempt, .payload = { .max = 1u << 20 } };
    struct submission submission;
    struct error err;

    assert_ok(request_decode(text_of(batch), REQUEST_BATCH, &languages, TEXT("*"), &config, &submission, &err), err);
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

static struct job *new_job(void)
{
    struct store_claim claim = claim_of(BATCH, 1);

    set_available(true);
    struct job *job = job_new(&claim, &languages, 3);
    assert_int_equal(job->end, JOB_COMPLETE);
    assert_null(claim.payload.at); /* the claim is used up */
    return job;
}

static void assert_next(struct job *job, enum step_kind kind, uint32_t at)
{
    struct step step;

    assert_true(job_take_step(job, &step));
    assert_int_equal(step.kind, kind);
    assert_int_equal(step.at, at);
}

static void assert_none(struct job *job)
{
    struct step step;

    assert_false(job_take_step(job, &step));
}

static void compile(struct job *job, uint32_t program, bool ok)
{
    struct compiled compiled;
    struct error err;

    compiled_init(&compiled);
    compiled.ok = ok;
    compiled.verdict = ok ? VERDICT_ACCEPTED : VERDICT_COMPILE_ERROR;
    compiled.compile_us = 1234;
    assert_ok(buf_append_text(&compiled.output, TEXT("compiler output"), &err), err);
    job_compiled(job, program, &compiled);
}

static void ran(struct job *job, uint32_t test, const char *output)
{
    struct run_outcome outcome = { .archive_fd = -1, .output = { .max = 64u << 20 } };
    struct error err;

    assert_ok(buf_append_text(&outcome.output, text_of(output), &err), err);
    struct result result = { .verdict = VERDICT_ACCEPTED, .output = buf_text(&outcome.output), .element = test };
    assert_int_equal(job_ran(job, test, &outcome, &result, result_outputs_bytes(&result)), 0);
}

static void programs_compile_before_their_tests_run(void **state)
{
    (void)state;
    struct job *job = new_job();

    assert_int_equal(job->submission.programs_len, 2);
    assert_int_equal(job->submission.tests_len, 4);
    assert_next(job, STEP_COMPILE, 0);
    assert_next(job, STEP_COMPILE, 1);
    assert_none(job);
    compile(job, 1, true); /* the second program compiles first: its tests do not wait for the other one */
    for (uint32_t i = 0; i < 4; i++)
        if (job->submission.tests[i].program == 1)
            assert_next(job, STEP_RUN, i);
    assert_none(job);
    compile(job, 0, true);
    for (uint32_t i = 0; i < 4; i++)
        if (job->submission.tests[i].program == 0)
            assert_next(job, STEP_RUN, i);
    assert_none(job);
    assert_int_equal(job->running, 4);
    for (uint32_t i = 4; i-- > 0;) { /* in any order */
        assert_true(job_is_open(job));
        char output[2] = { (char)('0' + i), '\0' };
        ran(job, i, output);
    }
    assert_false(job_is_open(job));
    for (uint32_t i = 0; i < 4; i++) { /* results are in the order of the request */
        assert_int_equal(job->results[i].element, i);
        assert_int_equal(job->results[i].output.at[0], '0' + i);
    }
    job_free(job);
}

static void a_program_that_does_not_compile_ends_its_tests_only(void **state)
{
    (void)state;
    struct job *job = new_job();
    size_t ended = 0;

    assert_next(job, STEP_COMPILE, 0);
    assert_next(job, STEP_COMPILE, 1);
    compile(job, 0, false);
    assert_none(job);
    for (uint32_t i = 0; i < 4; i++) {
        if (job->submission.tests[i].program != 0)
            continue;
        const struct result *result = &job->results[i];
        ended++;
        assert_int_equal(result->verdict, VERDICT_COMPILE_ERROR);
        assert_text_equal(result->errors, "compiler output");
        assert_int_equal(result->compile_us, 1234);
        assert_int_not_equal(result_exit_code(result), 0); /* clients take 0 and an empty stderr as passed */
    }
    assert_true(ended > 0);
    assert_int_equal(job->tests_left, 4 - ended);
    assert_true(job_is_open(job));
    compile(job, 1, true);
    struct step step;
    while (job_take_step(job, &step))
        ran(job, step.at, "fine");
    assert_false(job_is_open(job));
    job_free(job);
}

static void a_syntax_error_ends_the_tests_that_wait(void **state)
{
    (void)state;
    struct job *job = new_job();
    struct step step;
    struct error err;
    struct run_outcome outcome = { .archive_fd = -1, .errors = { .max = 1000 } };

    assert_next(job, STEP_COMPILE, 0);
    assert_next(job, STEP_COMPILE, 1);
    compile(job, 0, true);
    compile(job, 1, true);
    assert_true(job_take_step(job, &step));
    uint32_t program = job->submission.tests[step.at].program;
    assert_ok(buf_append_text(&outcome.errors, TEXT("syntax"), &err), err);
    struct result result = { .verdict = VERDICT_COMPILE_ERROR, .errors = buf_text(&outcome.errors) };
    assert_int_equal(job_ran(job, step.at, &outcome, &result, 6), 2);
    for (uint32_t i = 0; i < 4; i++)
        if (job->submission.tests[i].program == program) {
            assert_int_equal(job->results[i].verdict, VERDICT_COMPILE_ERROR);
            assert_text_equal(job->results[i].errors, "syntax");
            assert_int_equal(job->results[i].element, i == step.at ? 0 : i);
        }
    assert_true(job_take_step(job, &step)); /* of the other program */
    assert_int_not_equal(job->submission.tests[step.at].program, program);
    ran(job, step.at, "fine");
    assert_none(job);
    assert_false(job_is_open(job));
    job_free(job);
}

static void a_step_that_could_not_be_run_ends_the_job_without_results(void **state)
{
    (void)state;
    struct job *job = new_job();

    assert_next(job, STEP_COMPILE, 0);
    assert_next(job, STEP_COMPILE, 1);
    job_step_failed(job, "no descriptor was left");
    assert_int_equal(job_abort(job, JOB_RETURN), 0);
    assert_string_equal(job->reason, "no descriptor was left");
    assert_false(job_is_open(job));
    job_step_failed(job, "another reason"); /* the first one stays */
    assert_string_equal(job->reason, "no descriptor was left");
    assert_int_equal(job->running, 0);
    job_free(job);
}

static void a_job_with_one_lease_left_waits_until_it_is_begun(void **state)
{
    (void)state;
    struct store_claim claim = claim_of(BATCH, 2);

    claim.lost = 2;
    set_available(true);
    struct job *job = job_new(&claim, &languages, 3);
    assert_true(job->runs_alone && job_is_open(job));
    assert_none(job);
    job_begin(job);
    assert_next(job, STEP_COMPILE, 0);
    compile(job, 0, false);
    (void)job_abort(job, JOB_RELEASE);
    job_free(job);
}

static void after_an_abort_nothing_is_queued(void **state)
{
    (void)state;
    struct job *job = new_job();
    struct step step;

    assert_next(job, STEP_COMPILE, 0);
    assert_int_equal(job_abort(job, JOB_RELEASE), 1); /* the other compile step was dropped */
    assert_none(job);
    assert_false(job_is_open(job));
    compile(job, 0, true); /* an executor had taken it */
    assert_none(job);
    assert_int_equal(job->running, 0);
    job_free(job);

    job = new_job();
    assert_true(job_take_step(job, &step));
    (void)job_abort(job, JOB_ABANDON);
    job_step_failed(job, "");
    assert_none(job);
    job_free(job);
}

static void a_job_that_cannot_be_run_ends_at_once(void **state)
{
    (void)state;
    struct store_claim claim = { .attempt = 1, .payload = { .max = 100 } };
    struct error err;

    assert_ok(buf_append_text(&claim.payload, TEXT("garbage"), &err), err);
    struct job *job = job_new(&claim, &languages, 3);
    assert_int_equal(job->end, JOB_FAIL);
    assert_contains(job->reason, "unreadable");
    assert_none(job);
    job_free(job);

    /* A missing language: it is returned for another worker. */
    set_available(false);
    claim = claim_of(BATCH, 1);
    job = job_new(&claim, &languages, 3);
    assert_int_equal(job->end, JOB_RETURN);
    assert_contains(job->reason, "language c is not installed");
    assert_none(job);
    job_free(job);
    set_available(true);
}

/* 64 MiB of output are kept; further results have no output. */
/* Two of four outputs fit. */
static void expect_two_outputs_kept(char byte, size_t len)
{
    struct job *job = new_job();
    char *much = malloc(len + 1);
    struct step step;

    memset(much, byte, len);
    much[len] = '\0';
    assert_next(job, STEP_COMPILE, 0);
    assert_next(job, STEP_COMPILE, 1);
    compile(job, 0, true);
    compile(job, 1, true);
    size_t kept = 0, left_out = 0;
    while (job_take_step(job, &step)) {
        ran(job, step.at, much);
        const struct result *result = &job->results[step.at];
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
    assert_true(job->output_bytes <= JOB_OUTPUT_BYTES_MAX);
    job_free(job);
    free(much);
}

static void outputs_of_one_submission_are_bounded(void **state)
{
    (void)state;
    expect_two_outputs_kept('x', 30u << 20);
    expect_two_outputs_kept('\x01', 5u << 20);  /* six bytes of JSON each */
    expect_two_outputs_kept('\xff', 10u << 20); /* replaced by three bytes each */
    expect_two_outputs_kept('\n', 15u << 20);
}

/* The output of a compiler is in the result of each test. */
static void messages_of_a_compiler_are_bounded(void **state)
{
    (void)state;
    struct job *job = new_job();
    struct compiled compiled;
    struct error err;
    char *much = calloc(1, 4u << 20);
    assert_non_null(much);
    memset(much, '\x01', 4u << 20); /* 48 MiB of JSON for each of the tests: stderr and compile_output */
    compiled_init(&compiled);
    compiled.verdict = VERDICT_COMPILE_ERROR;
    buf_init(&compiled.output, 4u << 20);
    assert_ok(buf_append(&compiled.output, much, 4u << 20, &err), err);
    free(much);
    assert_next(job, STEP_COMPILE, 0);
    job_compiled(job, 0, &compiled);
    size_t kept = 0;
    for (size_t i = 0; i < job->submission.tests_len; i++)
        kept += job->results[i].compile_output.len + job->results[i].errors.len > 1u << 20;
    assert_int_equal(kept, 1);
    assert_true(job->output_bytes <= JOB_OUTPUT_BYTES_MAX);
    job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_compile_before_their_tests_run),
        cmocka_unit_test(a_program_that_does_not_compile_ends_its_tests_only),
        cmocka_unit_test(a_syntax_error_ends_the_tests_that_wait),
        cmocka_unit_test(a_step_that_could_not_be_run_ends_the_job_without_results),
        cmocka_unit_test(a_job_with_one_lease_left_waits_until_it_is_begun),
        cmocka_unit_test(after_an_abort_nothing_is_queued),
        cmocka_unit_test(a_job_that_cannot_be_run_ends_at_once),
        cmocka_unit_test(outputs_of_one_submission_are_bounded),
        cmocka_unit_test(messages_of_a_compiler_are_bounded),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
