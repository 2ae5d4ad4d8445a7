/*
 * command: the command lines of language files.
 *
 * A command is a list of words; no shell is involved.  Placeholders in the words:
 *   {source}       name of the main source file        {binary}   name of the compiled program
 *   {memory_mb}    memory limit of the run in MiB       {heap_mb}  60 % of it, for heap options
 *   {main}         name of the source without its suffix
 *   {prepared}     folder of the files made by [prepare].  Without an up-to-date folder the whole word is left out
 *   {if_prepared}  empty; its word is left out under the same condition
 * The word {args} becomes the test's arguments, and {files} the other source files with the main suffix.  Both may
 * become no words at all.  A file name that begins with '-' or '@' gets "./" before it, so that no program takes it
 * for an option.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"

struct command {
    struct text *words; /* NULL when words_len is 0; each ends in a NUL byte */
    size_t words_len;
};

/*
 * Finds unknown placeholders, those without a value in this language, and a first word that is no absolute path.
 * Without this check a mistyped placeholder would reach a compiler as a file name.  `key` names the command in *err.
 */
int command_check(const struct command *command, const char *key, bool has_binary, bool has_prepared,
                  struct error *err);

/* The words of a command with the placeholders filled, as a NULL-terminated argv in the arena. */
struct command_values {
    struct text source, binary, prepared;
    uint64_t memory_bytes;
    const struct text *args;
    size_t args_len;
    const struct text *files; /* names of the other files */
    size_t files_len;
};
int command_expand(const struct command *command, const struct command_values *values, struct arena *arena,
                   char ***ret_argv, struct error *err);
