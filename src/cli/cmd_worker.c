/* evalx worker: runs submissions from a Redis that API servers share. */
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
    int outcome = daemon_run_worker(&config, &languages, &err);
    languages_done(&languages);
    return outcome < 0 ? command_failed(&err) : EVALX_EXIT_OK;
}

const struct subcommand worker_command = {
    .name = "worker",
    .operands = "",
    .summary = "run submissions from a shared Redis",
    .details =
        "\nAny number of workers, on any number of machines, share the work of the Redis that REDIS_HOST names.\n"
        "A worker must be started as root, which it drops once its sandbox has started.  With\n"
        "worker_listen=ADDR:PORT it serves /healthz and /metrics there.  SIGTERM and SIGINT drain; a second signal\n"
        "ends it at once.",
    .run = run,
};
