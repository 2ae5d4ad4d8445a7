/*
 * main: evalx and its subcommands.
 */
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/self.h"
#include "cli/commands.h"
#include "codec/request_json.h"

static int help_run(const struct invocation *invocation);

static const struct subcommand help_command = {
    .name = "help",
    .operands = "[COMMAND|settings]",
    .summary = "list the commands, or describe one, or all settings",
    .operands_max = 1,
    .run = help_run,
};

/* The first one is the default. */
static const struct subcommand *const commands[] = {
    &server_command,
    &worker_command,
    &run_command,
    &submit_command,
    &status_command,
    &queue_command,
    &dead_command,
    &languages_command,
    &prepare_command,
    &check_command,
    &version_command,
    &help_command,
    NULL,
};

static int help_run(const struct invocation *invocation)
{
    const char *topic = invocation->operands[0];

    if (topic != NULL && strcmp(topic, "settings") == 0) {
        config_print_help(stdout);
        return EVALX_EXIT_OK;
    }
    return command_line_help(commands, topic);
}

#define LARGE_BYTES (1 << 20)

int main(int argc, char **argv)
{
    /*
     * Requests, inputs and outputs of many megabytes return to the kernel when they are freed.  By default malloc
     * raises its threshold after the first such free and keeps up to 32 MiB per thread (mallopt(3),
     * M_MMAP_THRESHOLD).
     */
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    self_find();
    request_init(); /* before any thread: the JSON library's hash seed */
    int status = command_line_run(argc, argv, commands);
    /* Output to a full disk or a closed pipe may be lost. */
    bool lost = ferror(stdout) != 0;
    if ((fflush(stdout) != 0 || lost) && status == EVALX_EXIT_OK) {
        (void)fputs("evalx: cannot write the output\n", stderr);
        return EVALX_EXIT_FAILURE;
    }
    return status;
}
