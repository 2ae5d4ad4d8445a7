/*
 * command_line: parsing, --help and usage errors, from one table per subcommand.
 *
 * All subcommands have --help, --config FILE and --set KEY=VALUE (repeatable).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

/* Exit statuses of evalx, documented in evalx(1). */
enum exit_status {
    EVALX_EXIT_OK = 0,
    EVALX_EXIT_FAILURE = 1,      /* something failed; the reason is on stderr */
    EVALX_EXIT_USAGE = 2,        /* the command line is wrong */
    EVALX_EXIT_NOT_ACCEPTED = 3, /* success, but some result is not "accepted" */
};

#define OPTIONS_MAX 12
#define SETS_MAX 64

enum option_value { OPTION_ALONE, OPTION_VALUE, OPTION_MAYBE_VALUE };

struct option_spec {
    const char *name;
    enum option_value kind;
    const char *value; /* name of the value in --help; NULL with OPTION_ALONE */
    const char *help;
};

struct invocation;

struct subcommand {
    const char *name;
    const char *operands; /* as shown by --help; "" for none */
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
    const char *values[OPTIONS_MAX]; /* per option of the table: NULL if not given, "" if given without a value */
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

/*
 * Parses the command line, runs the subcommand and returns its exit status.  `commands` ends with NULL; the first one
 * is the default.
 */
int command_line_run(int argc, char **argv, const struct subcommand *const *commands);

/*
 * Prints the list of subcommands (name NULL) or the help of one.  EVALX_EXIT_OK, or EVALX_EXIT_USAGE if it is unknown.
 */
int command_line_help(const struct subcommand *const *commands, const char *name);

/* Prints "evalx: TEXT" and a hint at --help on stderr; returns EVALX_EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int usage_error(const struct subcommand *command, const char *fmt, ...);
/* Prints "evalx: TEXT" on stderr; returns EVALX_EXIT_USAGE for ERROR_USAGE, else EVALX_EXIT_FAILURE. */
int command_failed(const struct error *err);
