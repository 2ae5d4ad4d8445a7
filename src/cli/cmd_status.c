/* evalx status: the state and the results of a submission. */
#include <jansson.h>

#include "cli/commands.h"
#include "cli/poll_result.h"

enum { OPTION_WAIT, OPTION_SERVER, OPTION_JSON };

static const struct option_spec options[] = {
    [OPTION_WAIT] = { "wait", OPTION_MAYBE_VALUE, "=SECONDS", "wait until it has ended (default: 300 s)" },
    [OPTION_SERVER] = { "server", OPTION_VALUE, "URL", "server (default: EVALX_SERVER, then http://127.0.0.1:3000)" },
    [OPTION_JSON] = { "json", OPTION_ALONE, NULL, "print the server's JSON response unchanged" },
};

static int run(const struct invocation *invocation)
{
    auto_buf struct buf body = { 0 };
    struct http_client *http_client = NULL;
    struct error err = { 0 };
    json_t *answer = NULL;
    uint32_t wait_s;
    int status;

    if (wait_seconds(invocation, OPTION_WAIT, &wait_s) < 0)
        return EVALX_EXIT_USAGE;
    if (http_client_open(invocation->values[OPTION_SERVER], &http_client, &err) < 0)
        return command_failed(&err);
    if (poll_submission(http_client, invocation->operands[0], wait_s, &body, &answer, &err) < 0)
        status = command_failed(&err);
    else
        status = print_submission(answer, &body, invocation_has(invocation, OPTION_JSON), wait_s > 0);
    json_decref(answer);
    http_client_close(http_client);
    return status;
}

const struct subcommand status_command = {
    .name = "status",
    .operands = "TOKEN",
    .summary = "show the state and the results of a submission",
    .details = "\nThe exit status is 0 if every result is \"accepted\" or the submission has not ended, 3 if some "
               "result is not\n"
               "accepted, and 1 if the submission failed, is unknown or has not ended within --wait.",
    .options = options,
    .options_len = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
