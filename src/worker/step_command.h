/*
 * step_command: the argument vector and the environment of one step, from the language's command templates.
 */
#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/submission.h"

#define STEP_COMMAND_BYTES_MAX (256u << 10) /* argv and env of one step together: the maximum of their arena */

/* Both are NULL-terminated, as execve takes them.  They are valid as long as the arena. */
struct step_command {
    char **argv;
    char **env;
};

/* The compiler's command.  The language must have one. */
int step_command_compile(const struct program *program, struct arena *arena, struct step_command *ret,
                         struct error *err);
/* The command that runs the program for this test. */
int step_command_run(const struct program *program, const struct test *test, struct arena *arena,
                     struct step_command *ret, struct error *err);
