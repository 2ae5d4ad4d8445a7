/*
 * main: evalx and its subcommands.
 */
#include <malloc.h>
#include <stdio.h>

#include "cli/commands.h"
#include "codec/request_json.h"

static int help_run(const struct invocation *invocation);

static const struct subcommand help_command = {
    .name = "help",
    .operands = "[COMMAND]",
    .summary = "what evalx can do, or one command in detail",
    .operands_max = 1,
    .run = help_run,
};

static struct subcommand commands[13]; /* the first is what evalx does without a command; the last stays empty */

static int help_run(const struct invocation *invocation)
{
    return command_line_help(commands, invocation->operands[0]);
}

#define LARGE_BYTES (1 << 20)

int main(int argc, char **argv)
{
    const struct subcommand *const all[] = { &server_command,  &worker_command, &run_command,     &submit_command,
                                             &status_command,  &queue_command,  &dead_command,    &languages_command,
                                             &prepare_command, &check_command,  &version_command, &help_command };

    _Static_assert(sizeof all / sizeof *all + 1 == sizeof commands / sizeof *commands, "the table has an end");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        commands[i] = *all[i];
    /*
     * Requests, inputs and outputs of many megabytes go back to the kernel when they are freed.  By itself malloc takes
     * the first such free as a sign of more and keeps up to 32 MiB for each thread (mallopt(3), M_MMAP_THRESHOLD).
     */
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    request_init(); /* before any thread: the JSON library's hash seed */
    int status = command_line_run(argc, argv, commands);
    /* What was printed to a full disk or a closed pipe was not printed. */
    if (fflush(stdout) != 0 && status == EVALX_EXIT_OK) {
        (void)fputs("evalx: cannot write the output\n", stderr);
        return EVALX_EXIT_FAILURE;
    }
    return status;
}
