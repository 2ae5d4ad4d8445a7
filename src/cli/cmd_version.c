/* evalx version */
#include <stdio.h>

#include "cli/commands.h"

enum { OPTION_JSON };

static const struct option_spec options[] = {
    [OPTION_JSON] = { "json", OPTION_ALONE, NULL, "as JSON" },
};

static int run(const struct invocation *invocation)
{
    if (invocation_has(invocation, OPTION_JSON))
        (void)printf("{\"name\": \"evalx\", \"version\": \"%s\"}\n", EVALX_VERSION);
    else
        (void)printf("evalx %s\n", EVALX_VERSION);
    return EVALX_EXIT_OK;
}

const struct subcommand version_command = {
    .name = "version",
    .operands = "",
    .summary = "the version of evalx",
    .options = options,
    .options_len = sizeof options / sizeof *options,
    .run = run,
};
