/* evalx run: one program in the sandbox of this machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/local_run.h"
#include "cli/request_builder.h"
#include "cli/settings.h"
#include "cli/terminal.h"
#include "codec/request_json.h"
#include "codec/result_json.h"

#define RESULT_BYTES_MAX (256u << 20)

enum {
    OPTION_STDIN,
    OPTION_LANGUAGE,
    OPTION_TIMEOUT,
    OPTION_MEMORY,
    OPTION_NETWORK,
    OPTION_IMAGE,
    OPTION_ASSERTIONS,
    OPTION_EXPECTED,
    OPTION_JSON
};

static const struct option_spec options[] = {
    [OPTION_STDIN] = { "stdin", OPTION_VALUE, "FILE", "input of the program (-: stdin; default: empty)" },
    [OPTION_LANGUAGE] = { "language", OPTION_VALUE, "NAME", "language (default: chosen by the file name's suffix)" },
    [OPTION_TIMEOUT] = { "timeout", OPTION_VALUE, "SECONDS",
                         "CPU time limit; the wall time limit is 1.5 times as long, and at least 1 s longer" },
    [OPTION_MEMORY] = { "memory", OPTION_VALUE, "SIZE", "memory limit, for example 128m or 1g" },
    [OPTION_NETWORK] = { "network", OPTION_VALUE, "NAME", "none (the default), or loopback: 127.0.0.1 and ::1" },
    [OPTION_ASSERTIONS] = { "assertions", OPTION_ALONE, NULL, "switch the language's assertions on" },
    [OPTION_IMAGE] = { "image", OPTION_VALUE, "NAME", "an image that extends the language's own (docs/IMAGES.md)" },
    [OPTION_EXPECTED] = { "expected", OPTION_VALUE, "FILE", "expected output" },
    [OPTION_JSON] = { "json", OPTION_ALONE, NULL, "print the result as JSON, as the HTTP API returns it" },
};

/* Prints the only element of the array, without the brackets. */
static int print_json(const struct result *result, struct error *err)
{
    auto_buf struct buf encoded = { .max = RESULT_BYTES_MAX };

    if (results_encode(result, 1, &encoded, err) < 0)
        return command_failed(err);
    (void)terminal_put_json(stdout, (struct text){ encoded.at + 1, encoded.len - 2 });
    (void)putchar('\n');
    return result->verdict == VERDICT_ACCEPTED ? EVALX_EXIT_OK : EVALX_EXIT_NOT_ACCEPTED;
}

/* "evalx: runtime_error: signal 11 (Segmentation fault), exit code 139" */
static void print_verdict(const struct result *result)
{
    bool has_ended_badly = result->verdict == VERDICT_RUNTIME_ERROR || result->verdict == VERDICT_MEMORY_LIMIT ||
                           result->verdict == VERDICT_DENIED_SYSCALL;
    auto_buf struct buf line = { .max = 4096 };
    struct error ignored;
    int signal_number = result->stats.signal;

    (void)buf_printf(&line, &ignored, "evalx: %s%s%.*s", verdict_name(result->verdict),
                     result->message.len > 0 ? ": " : "", TEXT_ARG(result->message));
    if (has_ended_badly && signal_number != 0)
        (void)buf_printf(&line, &ignored, ": signal %d (%s)", signal_number, strsignal(signal_number));
    if (has_ended_badly)
        (void)buf_printf(&line, &ignored, "%s exit code %d", signal_number != 0 ? "," : ":", result_exit_code(result));
    (void)buf_append_text(&line, TEXT("\n"), &ignored);
    (void)terminal_put(stderr, buf_text(&line));
}

/* Output to stdout and errors to stderr, as if the program had been called; then the verdict if it is not accepted. */
static int pass_on(const struct result *result)
{
    if (terminal_put(stdout, result->output) < 0)
        return EVALX_EXIT_FAILURE;
    (void)terminal_put(stderr, result->compile_output);
    (void)terminal_put(stderr, result->errors);
    if (result->verdict != VERDICT_ACCEPTED)
        print_verdict(result);
    if (result->verdict == VERDICT_WRONG_ANSWER)
        return EVALX_EXIT_NOT_ACCEPTED;
    if (result->verdict == VERDICT_INTERNAL_ERROR)
        return EVALX_EXIT_FAILURE;
    return result_exit_code(result);
}

/* The decoder checks options as parts of a request: which of them, if any, it refused. */
static bool is_refused_option(const struct invocation *invocation, const struct error *err)
{
    static const struct {
        const char *field;
        int option;
    } options_of_fields[] = { { "language", OPTION_LANGUAGE },
                              { "timeout", OPTION_TIMEOUT },
                              { "memory_limit", OPTION_MEMORY },
                              { "network", OPTION_NETWORK },
                              { "image", OPTION_IMAGE } };

    for (size_t i = 0; i < sizeof options_of_fields / sizeof *options_of_fields; i++)
        if (err->kind == ERROR_REQUEST && strcmp(err->field, options_of_fields[i].field) == 0)
            return invocation->values[options_of_fields[i].option] != NULL;
    return false;
}

static int decode(const struct invocation *invocation, const struct config *config, const struct languages *languages,
                  struct submission *ret, struct error *err)
{
    struct request_files files = {
        .source = invocation->operands[0],
        .language = invocation->values[OPTION_LANGUAGE],
        .input = invocation->values[OPTION_STDIN],
        .expected = invocation->values[OPTION_EXPECTED],
        .timeout = invocation->values[OPTION_TIMEOUT],
        .memory = invocation->values[OPTION_MEMORY],
        .network = invocation->values[OPTION_NETWORK],
        .assertions = invocation_has(invocation, OPTION_ASSERTIONS),
        .image = invocation->values[OPTION_IMAGE],
        .args = invocation->operands + 1,
        .args_len = invocation->operands_len - 1,
    };
    json_t *object = NULL;

    if (request_from_files(&files, languages, &object, err) < 0)
        return -1;
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (text == NULL)
        return error_set(err, ERROR_BUG, 0, "encode the program");
    int outcome = request_decode(text_of(text), REQUEST_SINGLE, languages, TEXT("*"), config, ret, err);
    free(text);
    if (outcome < 0 && is_refused_option(invocation, err))
        err->kind = ERROR_USAGE;
    return outcome;
}

static int run_in_sandbox(const struct invocation *invocation, const struct config *config,
                          const struct languages *languages, const struct submission *submission, struct error *err)
{
    struct local_run local_run;
    struct local_result result;
    int status = EVALX_EXIT_FAILURE;

    if (local_run_open(config, languages, &local_run, err) < 0)
        return command_failed(err);
    if (local_run_test(&local_run, submission, &result, err) < 0) {
        (void)command_failed(err);
    } else {
        status = invocation_has(invocation, OPTION_JSON) ? print_json(&result.result, err) : pass_on(&result.result);
        local_result_done(&result);
    }
    local_run_close(&local_run);
    return status;
}

static int run(const struct invocation *invocation)
{
    struct config config;
    struct languages languages;
    struct submission submission;
    struct error err = { 0 };

    if (settings_load(invocation, &config, &err) < 0 || settings_languages(&config, &languages, &err) < 0)
        return command_failed(&err);
    languages.require_available = true;
    int status = EVALX_EXIT_FAILURE;
    if (decode(invocation, &config, &languages, &submission, &err) < 0) {
        status = command_failed(&err);
    } else {
        status = run_in_sandbox(invocation, &config, &languages, &submission, &err);
        submission_done(&submission);
    }
    languages_done(&languages);
    return status;
}

const struct subcommand run_command = {
    .name = "run",
    .operands = "FILE [-- ARGUMENT...]",
    .summary = "run one program in the sandbox of this machine (root)",
    .details = "\nExit status: the program's own; 124: time limit exceeded; 128+N: ended by signal N; 3: the output\n"
               "differs from --expected; if compilation failed, the compiler's.  With --json it is 0 if the result\n"
               "is \"accepted\", else 3.",
    .options = options,
    .options_len = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = -1,
    .run = run,
};
