/* commands: the subcommands, one per file; main.c lists them. */
#pragma once
#include "cli/command_line.h"

extern const struct subcommand server_command, worker_command, run_command, submit_command, status_command,
    queue_command, dead_command, languages_command, prepare_command, check_command, version_command;
