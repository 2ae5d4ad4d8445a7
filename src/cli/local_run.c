/* local_run: see the header. */
#include "cli/local_run.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "codec/request_json.h"
#include "config/config.h"
#include "daemon/daemon.h"
#include "daemon/privileges.h"
#include "daemon/signals.h"

int local_run_open(const struct config *config, const struct languages *languages, struct local_run *ret,
                   struct error *err)
{
    struct identity identity;

    *ret = (struct local_run){ 0 };
    if (geteuid() != 0)
        return error_set(err, ERROR_SETUP, 0,
                         "the sandbox needs root: use sudo (evalx drops root before the program runs)");
    if (identity_find(config, &identity, err) < 0)
        return -1;
    if (daemon_start_sandbox(config, &ret->sandbox, err) < 0)
        return -1;
    signal_ignore(SIGPIPE);
    for (size_t i = 0; i < languages->len; i++)
        if (languages->list[i].available && sandbox_image(ret->sandbox, languages->list[i].image.at, err) < 0) {
            (void)error_within(err, "image of language %s", languages->list[i].id.at);
            goto undo;
        }
    if (privileges_drop(&identity, err) < 0 || privileges_confine(err) < 0 ||
        sandbox_slot_open(ret->sandbox, 0, &ret->slot, err) < 0)
        goto undo;
    return 0;

undo:
    local_run_close(ret);
    return -1;
}

void local_run_close(struct local_run *local_run)
{
    if (local_run->slot != NULL)
        sandbox_slot_close(local_run->slot);
    sandbox_stop(local_run->sandbox);
    privileges_allow_leak_check();
    *local_run = (struct local_run){ 0 };
}

int local_run_test(struct local_run *local_run, const struct submission *submission, struct local_result *ret,
                   struct error *err)
{
    const struct test *test = &submission->tests[0];

    *ret = (struct local_result){ 0 };
    compiled_init(&ret->compiled);
    if (step_compile(local_run->slot, NULL, NULL, 0, &submission->programs[test->program], &ret->compiled, err) < 0)
        return -1;
    if (!ret->compiled.ok) {
        step_run_skipped(submission, test, &ret->compiled, &ret->result);
        return 0;
    }
    if (step_run(local_run->slot, NULL, submission, test, &ret->compiled, &ret->outcome, &ret->result, err) < 0) {
        compiled_done(&ret->compiled);
        return -1;
    }
    ret->has_outcome = true;
    return 0;
}

void local_result_done(struct local_result *result)
{
    if (result->has_outcome)
        run_outcome_done(&result->outcome);
    result->has_outcome = false;
    compiled_done(&result->compiled);
}

int local_run_again(struct local_run *local_run, const struct submission *submission, const struct local_result *first,
                    uint64_t *ret_us, enum verdict *ret_verdict, struct error *err)
{
    struct run_outcome outcome;
    struct result result;
    uint64_t begin_us = clock_mono_us();

    if (step_run(local_run->slot, NULL, submission, &submission->tests[0], &first->compiled, &outcome, &result, err) <
        0)
        return -1;
    *ret_us = clock_mono_us() - begin_us;
    *ret_verdict = result.verdict;
    run_outcome_done(&outcome);
    return 0;
}

static int hello_submission(const struct config *config, const struct language *language, struct submission *ret,
                            struct error *err)
{
    const struct languages only = languages_only(language);
    json_t *request = json_pack(
        "{s:s%, s:s, s:s%, s:s%, s:s%}", "language", language->id.at, language->id.len, "version", "*", "code",
        language->hello_code.at, language->hello_code.len, "stdin",
        language->hello_stdin.at != NULL ? language->hello_stdin.at : "", language->hello_stdin.len, "expected_output",
        language->hello_stdout.at != NULL ? language->hello_stdout.at : "", language->hello_stdout.len);
    char *text = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);

    json_decref(request);
    if (text == NULL)
        return error_set(err, ERROR_SETUP, 0, "the hello test of %s is not UTF-8 text", language->id.at);
    int outcome = request_decode(text_of(text), REQUEST_SINGLE, &only, TEXT("*"), config, ret, err);
    free(text);
    return outcome;
}

int local_run_hello(struct local_run *local_run, const struct config *config, const struct language *language,
                    uint64_t *ret_us, struct error *err)
{
    struct submission submission;
    struct local_result result;
    uint64_t begin_us = clock_mono_us();

    if (hello_submission(config, language, &submission, err) < 0)
        return -1;
    int outcome = local_run_test(local_run, &submission, &result, err);
    if (outcome == 0) {
        const struct result *what = &result.result;
        if (what->verdict != VERDICT_ACCEPTED)
            outcome = error_set(
                err, ERROR_SANDBOX, 0, "the verdict of its hello test is %s%s%.*s%s%.*s", verdict_name(what->verdict),
                what->message.len > 0 ? ": " : "", TEXT_ARG(what->message), what->errors.len > 0 ? ": " : "",
                (int)(what->errors.len < 160 ? what->errors.len : 160), what->errors.at != NULL ? what->errors.at : "");
        local_result_done(&result);
    }
    submission_done(&submission);
    if (outcome == 0)
        *ret_us = clock_mono_us() - begin_us;
    return outcome;
}
