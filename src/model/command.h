/*
 * command: the command lines of language files.
 *
 * A command is a list of words; no shell is involved.  Placeholders in the words:
 *   {source}       name of the main source file        {binary}   name of the compiled program
 *   {main}         name of the source without its suffix
 *   {heap_hex}     {heap_mb} in hexadecimal digits
 *   {memory_mb}    memory limit of the step in MiB      {heap_mb}  the language's share of it, for heap options
 *   {stack_kb}     7/8 of the stack limit in KiB        {stack_mb} the same in MiB
 *   {prepared}     folder of the files made by [prepare].  Without an up-to-date folder the whole word is left out
 *   {if_prepared}  empty; its word is left out under the same condition
 * The word {args} becomes the test's arguments, {files} the other source files, and {assertions} the words that switch
 * assertions on or off.  Each may become no words at all.  A file name that begins with '-' or '@' gets "./" before
 * it, so that no program takes it for an option.  The environment has the same placeholders, without the three words.
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

/* The part of the memory limit that a runtime may use for its heap. */
struct heap_share {
    uint64_t percent;    /* of the limit */
    uint64_t less_bytes; /* taken from that */
};

/* "85%" or "100% - 40m". */
int heap_share_parse(struct text text, struct heap_share *ret, struct error *err);

/* What a language has values for: a placeholder without one is a mistake. */
struct command_knows {
    bool binary, prepared;
};

/*
 * Finds unknown placeholders, those without a value in this language, and a first word that is no absolute path.
 * Without this check a mistyped placeholder would reach a compiler as a file name.  `key` names the command in *err.
 */
int command_check(const struct command *command, const char *key, struct command_knows knows, struct error *err);
/* The same for one line of the environment. */
int command_check_env(struct text line, struct command_knows knows, struct error *err);
/* True if one of the words is exactly this. */
bool command_has_word(const struct command *command, struct text word);

/* The part of a file name from the last dot on; empty if there is no dot. */
struct text command_suffix(struct text name);
/* True if the name has one of the suffixes. */
bool command_has_suffix(struct text name, const struct text *suffixes, size_t suffixes_len);

/* What the placeholders stand for. */
struct command_values {
    struct text source, binary, prepared;
    uint64_t memory_bytes, stack_bytes;
    struct heap_share heap;
    const struct text *args;
    size_t args_len;
    const struct text *files; /* names of the other files */
    size_t files_len;
    const struct text *suffixes; /* of those that {files} lists */
    size_t suffixes_len;
    const struct text *assertions;
    size_t assertions_len;
};
/* The words of a command with the placeholders filled, as a NULL-terminated argv in the arena. */
int command_expand(const struct command *command, const struct command_values *values, struct arena *arena,
                   char ***ret_argv, struct error *err);
/* The same for the lines of an environment. */
int command_expand_env(const struct text *lines, size_t lines_len, const struct command_values *values,
                       struct arena *arena, char ***ret_env, struct error *err);
