/*
 * command_line: one table a subcommand says which options it has; parsing, --help and the usage errors come from it.
 * Options every subcommand has: --help, --config FILE, --set KEY=VALUE (repeated).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

/* Exit statuses of evalx, as evalx(1) says. */
enum exit_status {
    EVALX_EXIT_OK = 0,
    EVALX_EXIT_FAILURE = 1,      /* something failed; the reason is on stderr */
    EVALX_EXIT_USAGE = 2,        /* the command line is wrong */
    EVALX_EXIT_NOT_ACCEPTED = 3, /* all went well, but not every result is "accepted" */
};

#define OPTIONS_MAX 12
#define SETS_MAX 64

enum option_value { OPTION_ALONE, OPTION_VALUE, OPTION_MAYBE_VALUE };

struct option_spec {
    const char *name;
    enum option_value kind;
    const char *value; /* how --help calls the value; NULL with OPTION_ALONE */
    const char *help;
};

struct invocation;

struct subcommand {
    const char *name;
    const char *operands; /* as --help shows them; "" if there are none */
    const char *summary;
    const char *details; /* further lines of --help, or NULL */
    const struct option_spec *options;
    size_t options_len;
    int operands_min, operands_max; /* max -1: any number */
    int (*run)(const struct invocation *invocation);
};

/* The command line as a subcommand sees it; strings are argv's. */
struct invocation {
    const struct subcommand *command;
    const char *values[OPTIONS_MAX]; /* one an option of the table: NULL not given, "" given without a value */
    char **operands;                 /* NULL-terminated */
    int operands_len;
    const char *config_file; /* NULL: not given */
    char *sets[SETS_MAX];    /* "KEY=VALUE" */
    size_t sets_len;
};

static inline bool invocation_has(const struct invocation *invocation, size_t option)
{
    return invocation->values[option] != NULL;
}

/* Finds the subcommand, parses, runs it; the exit status.  `commands` ends with a NULL name; the first is what
 * evalx does without one. */
int command_line_run(int argc, char **argv, const struct subcommand *commands);

/* Prints what all subcommands are (name NULL) or one of them; EVALX_EXIT_OK, or EVALX_EXIT_USAGE where there is no such one. */
int command_line_help(const struct subcommand *commands, const char *name);

/* "evalx: TEXT" on stderr, with a hint at --help; EVALX_EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int usage_error(const struct subcommand *command, const char *fmt, ...);
/* "evalx: TEXT" on stderr; EVALX_EXIT_FAILURE. */
int command_failed(const struct error *err);
