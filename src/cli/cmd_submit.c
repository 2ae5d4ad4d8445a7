/* evalx submit: sends a source file or a batch to a server. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/poll_result.h"
#include "cli/request_builder.h"
#include "cli/settings.h"
#include "cli/terminal.h"
#include "model/token.h"

#define SUBMIT_S 120u

enum {
    OPTION_LANGUAGE,
    OPTION_STDIN,
    OPTION_TIMEOUT,
    OPTION_MEMORY,
    OPTION_NETWORK,
    OPTION_ASSERTIONS,
    OPTION_IMAGE,
    OPTION_EXPECTED,
    OPTION_WAIT,
    OPTION_SERVER,
    OPTION_JSON
};

static const struct option_spec options[] = {
    [OPTION_LANGUAGE] = { "language", OPTION_VALUE, "NAME", "language (default: by the file name suffix)" },
    [OPTION_STDIN] = { "stdin", OPTION_VALUE, "FILE", "input of the program (default: empty)" },
    [OPTION_TIMEOUT] = { "timeout", OPTION_VALUE, "SECONDS",
                         "CPU time limit; the wall time limit is 1.5 times as long, and at least 1 s longer" },
    [OPTION_MEMORY] = { "memory", OPTION_VALUE, "SIZE", "memory limit, for example 128m or 1g" },
    [OPTION_NETWORK] = { "network", OPTION_VALUE, "NAME", "none (the default), or loopback: 127.0.0.1 and ::1" },
    [OPTION_ASSERTIONS] = { "assertions", OPTION_ALONE, NULL, "switch the language's assertions on" },
    [OPTION_IMAGE] = { "image", OPTION_VALUE, "NAME", "an image that extends the language's own (docs/IMAGES.md)" },
    [OPTION_EXPECTED] = { "expected", OPTION_VALUE, "FILE", "expected output" },
    [OPTION_WAIT] = { "wait", OPTION_MAYBE_VALUE, "=SECONDS",
                      "wait until it has ended (default: 300 s), show the results" },
    [OPTION_SERVER] = { "server", OPTION_VALUE, "URL", "server (default: EVALX_SERVER, then http://127.0.0.1:3000)" },
    [OPTION_JSON] = { "json", OPTION_ALONE, NULL, "print the response of the server" },
};

static bool is_source_option(size_t option)
{
    return option <= OPTION_EXPECTED;
}

/* A batch is a file named *.json, or stdin without --language. */
static bool is_batch(const struct invocation *invocation)
{
    const char *file = invocation->operands[0];
    size_t len = strlen(file);

    if (invocation_has(invocation, OPTION_LANGUAGE))
        return false;
    return strcmp(file, "-") == 0 || (len > 5 && strcmp(file + len - 5, ".json") == 0);
}

/* A batch with one element, the source file.  The language files of this machine help to guess the language. */
static int batch_of_source(const struct invocation *invocation, struct buf *ret, struct error *err)
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
    struct config config;
    struct languages languages = { 0 };
    struct error no_languages;
    json_t *program = NULL;

    if (settings_load(invocation, &config, err) < 0)
        return -1;
    bool here = settings_languages(&config, &languages, &no_languages) == 0;
    int outcome = request_from_files(&files, here ? &languages : NULL, &program, err);
    if (here)
        languages_done(&languages);
    if (outcome < 0)
        return -1;
    json_t *batch = json_pack("[o]", program);
    char *text = batch == NULL ? NULL : json_dumps(batch, JSON_COMPACT);
    json_decref(batch);
    if (text == NULL)
        return error_set(err, ERROR_BUG, 0, "encode the batch");
    ret->max = SIZE_MAX / 2;
    outcome = buf_append_text(ret, text_of(text), err);
    free(text);
    return outcome;
}

/* Sends the batch.  The server assigns *ret_token. */
static int send_batch(struct http_client *http_client, struct text batch, struct buf *ret_body, char ret_token[64],
                      struct error *err)
{
    struct http_answer answer;
    const char *token = NULL;

    if (http_client_request(http_client, "/execute/batch", &batch, SUBMIT_S, &answer, err) < 0)
        return -1;
    if (answer.status < 200 || answer.status > 299) {
        (void)http_client_refused(&answer, err);
        http_answer_done(&answer);
        return -1;
    }
    json_t *decoded = json_loadb(answer.body.at != NULL ? answer.body.at : "", answer.body.len, 0, NULL);
    (void)json_unpack(decoded, "{s:s}", "token", &token);
    if (token != NULL && token_is_valid(text_of(token)))
        (void)snprintf(ret_token, 64, "%s", token);
    else
        token = NULL;
    bool has_token = token != NULL;
    json_decref(decoded);
    *ret_body = answer.body;
    return has_token ? 0 : error_set(err, ERROR_BUG, 0, "the response of the server has no token");
}

static int submit(const struct invocation *invocation, struct http_client *http_client, uint32_t wait_s)
{
    bool as_json = invocation_has(invocation, OPTION_JSON);
    auto_buf struct buf batch = { 0 };
    auto_buf struct buf body = { 0 };
    struct error err = { 0 };
    char token[64] = "";
    json_t *answer = NULL;

    int outcome = is_batch(invocation) ? read_whole_file(invocation->operands[0], &batch, &err)
                                       : batch_of_source(invocation, &batch, &err);
    if (outcome < 0 || send_batch(http_client, buf_text(&batch), &body, token, &err) < 0)
        return command_failed(&err);
    if (wait_s == 0 && as_json) {
        (void)terminal_put_json(stdout, buf_text(&body));
        (void)putchar('\n');
        return EVALX_EXIT_OK;
    }
    /* At once, so that an interrupted wait loses nothing. */
    if (!as_json)
        (void)printf("%s\n", token);
    else if (isatty(STDERR_FILENO) == 1)
        (void)fprintf(stderr, "evalx: submitted as %s\n", token);
    (void)fflush(stdout);
    if (wait_s == 0)
        return EVALX_EXIT_OK;
    if (poll_submission(http_client, token, wait_s, &body, &answer, &err) < 0) {
        (void)fprintf(stderr, "evalx: submitted as %s\n", token);
        return command_failed(&err);
    }
    int status = print_submission(answer, &body, as_json, true);
    json_decref(answer);
    return status;
}

static int run(const struct invocation *invocation)
{
    struct http_client *http_client = NULL;
    struct error err = { 0 };
    uint32_t wait_s;

    if (wait_seconds(invocation, OPTION_WAIT, &wait_s) < 0)
        return EVALX_EXIT_USAGE;
    for (size_t i = 0; i < invocation->command->options_len; i++)
        if (is_batch(invocation) && is_source_option(i) && invocation_has(invocation, i))
            return usage_error(invocation->command, "--%s applies to a source file; a batch contains it",
                               options[i].name);
    if (is_batch(invocation) && invocation->operands_len > 1)
        return usage_error(invocation->command, "unexpected \"%s\"", invocation->operands[1]);
    if (http_client_open(invocation->values[OPTION_SERVER], &http_client, &err) < 0)
        return command_failed(&err);
    int status = submit(invocation, http_client, wait_s);
    http_client_close(http_client);
    return status;
}

const struct subcommand submit_command = {
    .name = "submit",
    .operands = "FILE|BATCH.json|- [-- ARGUMENT...]",
    .summary = "submit a program or a batch to a server",
    .details =
        "\nPrints the token at once.  With --wait it then prints the results, and the exit status is 0 if every "
        "result\n"
        "is \"accepted\", 3 if not, and 1 if the submission failed or has not ended in time.  `-` reads a batch from\n"
        "stdin, or a source file with --language.",
    .options = options,
    .options_len = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = -1,
    .run = run,
};
