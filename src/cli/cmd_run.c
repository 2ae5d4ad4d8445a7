/* evalx run: one program in the sandbox of this machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/local_run.h"
#include "cli/request_builder.h"
#include "cli/settings.h"
#include "codec/request_json.h"
#include "codec/result_json.h"

#define RESULT_BYTES_MAX (256u << 20)

enum { OPTION_STDIN, OPTION_LANGUAGE, OPTION_TIMEOUT, OPTION_MEMORY, OPTION_NETWORK, OPTION_EXPECTED, OPTION_JSON };

static const struct option_spec options[] = {
    [OPTION_STDIN] = { "stdin", OPTION_VALUE, "FILE", "input of the program (-: stdin; default: empty)" },
    [OPTION_LANGUAGE] = { "language", OPTION_VALUE, "NAME", "language (default: chosen by the file name's suffix)" },
    [OPTION_TIMEOUT] = { "timeout", OPTION_VALUE, "SECONDS",
                         "CPU time limit; the wall time limit is 1.5 times as long, and at least 1 s longer" },
    [OPTION_MEMORY] = { "memory", OPTION_VALUE, "SIZE", "memory limit, for example 128m or 1g" },
    [OPTION_NETWORK] = { "network", OPTION_VALUE, "NAME", "none (the default), or loopback: 127.0.0.1 and ::1" },
    [OPTION_EXPECTED] = { "expected", OPTION_VALUE, "FILE", "expected output" },
    [OPTION_JSON] = { "json", OPTION_ALONE, NULL, "print the result as JSON, as the HTTP API returns it" },
};

static int write_bytes(int fd, struct text bytes)
{
    while (bytes.len > 0) {
        ssize_t put = write(fd, bytes.at, bytes.len);
        if (put <= 0)
            return -1;
        bytes.at += put;
        bytes.len -= (size_t)put;
    }
    return 0;
}

/* Prints the only element of the array, without the brackets. */
static int print_json(const struct result *result, struct error *err)
{
    auto_buf struct buf encoded = { .max = RESULT_BYTES_MAX };

    if (results_encode(result, 1, &encoded, err) < 0)
        return command_failed(err);
    (void)printf("%.*s\n", (int)encoded.len - 2, encoded.at + 1);
    return result->verdict == VERDICT_ACCEPTED ? EVALX_EXIT_OK : EVALX_EXIT_NOT_ACCEPTED;
}

/* Output to stdout and errors to stderr, as if the program had been called; then the verdict if it is not accepted. */
static int pass_on(const struct result *result)
{
    if (write_bytes(STDOUT_FILENO, result->output) < 0)
        return EVALX_EXIT_FAILURE;
    if (result->compile_output.len > 0)
        (void)write_bytes(STDERR_FILENO, result->compile_output);
    (void)write_bytes(STDERR_FILENO, result->errors);
    if (result->verdict != VERDICT_ACCEPTED)
        (void)fprintf(stderr, "evalx: %s%s%.*s\n", verdict_name(result->verdict), result->message.len > 0 ? ": " : "",
                      TEXT_ARG(result->message));
    if (result->verdict == VERDICT_WRONG_ANSWER)
        return EVALX_EXIT_NOT_ACCEPTED;
    if (result->verdict == VERDICT_INTERNAL_ERROR)
        return EVALX_EXIT_FAILURE;
    return result_exit_code(result);
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
    int outcome = request_decode(text_of(text), REQUEST_SINGLE, languages, config, ret, err);
    free(text);
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
        (void)command_failed(&err);
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
