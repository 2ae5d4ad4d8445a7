/* evalx version */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/commit.h"

enum { OPTION_JSON };

static const struct option_spec options[] = {
    [OPTION_JSON] = { "json", OPTION_ALONE, NULL, "print JSON" },
};

static int run(const struct invocation *invocation)
{
    if (invocation_has(invocation, OPTION_JSON))
        (void)printf("{\"name\": \"evalx\", \"version\": \"" EVALX_VERSION "\", \"commit\": \"" EVALX_COMMIT "\"}\n");
    else
        (void)printf("evalx " EVALX_VERSION " (" EVALX_COMMIT ")\n");
    return EVALX_EXIT_OK;
}

const struct subcommand version_command = {
    .name = "version",
    .operands = "",
    .summary = "print the version and the commit it was built from",
    .options = options,
    .options_len = sizeof options / sizeof *options,
    .run = run,
};
