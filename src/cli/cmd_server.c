/* evalx server: the HTTP API; without a Redis, the whole engine. */
#include "cli/commands.h"
#include "cli/settings.h"
#include "daemon/daemon.h"

static int run(const struct invocation *invocation)
{
    struct config config;
    struct languages languages;
    struct error err = { 0 };

    if (settings_load(invocation, &config, &err) < 0 || settings_languages(&config, &languages, &err) < 0)
        return command_failed(&err);
    int outcome = daemon_run_server(&config, &languages, &err);
    languages_done(&languages);
    return outcome < 0 ? command_failed(&err) : EVALX_EXIT_OK;
}

const struct subcommand server_command = {
    .name = "server",
    .operands = "",
    .summary = "run the HTTP API; without a Redis, also run submissions",
    .details =
        "\nWith REDIS_HOST (or EVALX_STORE=redis://...) it is an API server only; `evalx worker` runs submissions,\n"
        "on this machine or others.  Otherwise it keeps the queue in its data folder and runs submissions itself.\n"
        "For that it must be started as root; it gives root up before it opens the port.\n"
        "SIGTERM and SIGINT drain: it accepts nothing new and finishes what runs.  A second signal ends it at once.",
    .run = run,
};
