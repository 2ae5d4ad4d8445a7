/*
 * language: what the files in languages/ say.  A new language is a file, never code.
 *
 * Each file languages/NAME.conf is INI (see languages/README.md for every key).  Commands are argument
 * lists split at blanks (no shell is ever involved); these words are replaced in them:
 *   {source}     the name of the main source file            {binary}   the name of the compiled program
 *   {memory_mb}  the run's memory limit in MiB                {heap_mb}  about 60 % of it, for heap flags
 *   {main}       the source's name without its suffix
 *   {prepared}   where the language's [prepare] script put its files; where nothing is prepared, or it is out of date,
 *                the whole word is left out (prepared.h)
 *   {if_prepared} nothing, but left out with its word likewise: for an option that belongs to such a one
 *   a word that is exactly {args} becomes the test's arguments (or nothing); {files} the other source
 *   files with the main one's suffix (or nothing).  A name is put in as it is; one that begins with '-' or '@' gets
 *   "./" before it, so that no file name is ever taken for an option or a file of options
 * Read once at start; constant afterwards, so any thread may read.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/limits.h"

struct config;

struct command {
    struct text *words; /* NULL when words_len is 0; each ends in a NUL byte */
    size_t words_len;
};

struct language {
    struct text id;       /* "python" */
    struct text name;     /* "Python" */
    struct text version;  /* what the file says is installed: "3.11"; shown to clients */
    struct text of;       /* "python" of "python-3.13": another version of that language; empty for a language itself */
    struct text *aliases; /* other names: "python3", "py" */
    size_t aliases_len;
    struct text *versions; /* versions it answers to: "3", "3.9", ...; "*" and "latest" always work */
    size_t versions_len;
    struct text image;       /* "host" */
    struct text source_file; /* "main.py" */
    struct text binary_file; /* "main"; empty where nothing is compiled */
    struct command compile;  /* words_len 0: nothing to compile */
    struct command run;
    struct text *env; /* "NAME=value" */
    size_t env_len;
    struct text *needs; /* paths inside the image without which the language is not available */
    size_t needs_len;
    struct limits limits;         /* of a run, before the client's own */
    struct limits compile_limits; /* of the compile step */
    struct text prepare_script;   /* for /bin/sh; empty: nothing can be prepared */
    const char
        *prepare_env; /* "NAME=value" of a setting that the script reads, or NULL; set by installed_languages_probe */
    struct text *depends; /* paths of the image that the prepared files were made from */
    size_t depends_len;
    struct limits prepare_limits;
    enum run_class class; /* of a run */
    bool warm;            /* all of a source is read before any of it runs: its interpreter may wait for it */
    struct text *cold_if; /* words: not for a source that holds one of them */
    size_t cold_if_len;
    struct text heap_full; /* what its runtime says on stderr when the heap it was given is full; empty: nothing */
    struct text hello_code, hello_stdin, hello_stdout; /* the proof that it works */
    bool available;       /* the image and `needs` are there; set by installed_languages_probe */
    struct text missing;  /* the first of `needs` that is not there; empty where the image itself is not */
    struct text prepared; /* the prepared folder, as the image sees it; empty: none that is up to date.  Probed too */
};

struct languages {
    struct language *list; /* sorted by id */
    size_t len;
    bool require_available; /* requests for a language that is not available are refused; set by who runs them itself */
    struct arena arena;
};

/*
 * Reads every *.conf of the folder.  A mistake is an ERROR_SETUP with file, line and what was expected, and so are
 * two files that claim one name.  Limits a file asks for are cut to the ceilings of `config`; a compile step's are not.
 * On error nothing is left to free.
 */
int languages_load(const char *folder, const struct config *config, struct languages *ret, struct error *err);
void languages_done(struct languages *languages);

/* By id or alias, ASCII case ignored; NULL if there is none. */
const struct language *languages_find(const struct languages *languages, struct text name);
/*
 * The language of that name, or one that is `of` it: the one whose version it is, else the first `of` it that answers
 * to it.  Only those that are available are chosen; the one named where none is.  NULL if there is none of that name.
 */
const struct language *languages_choose(const struct languages *languages, struct text name, struct text version);
bool language_answers_to(const struct language *language, struct text version);

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
