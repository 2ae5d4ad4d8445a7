/*
 * language: the languages that the files in languages/ describe (languages/README.md has every key).
 *
 * Languages are data: a new one is a file, never code.  They are read once at start and constant afterwards, so any
 * thread may read them.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/command.h"
#include "model/limits.h"

struct config;

/* What an image is built from, for evalx-images; evalx itself does not use it. */
struct image_recipe {
    struct text suite; /* "trixie" */
    struct text on;    /* the image below this one; empty: the suite's base */
    struct text *packages;
    size_t packages_len;
    struct text *npm;
    size_t npm_len;
    struct text *setup; /* shell commands */
    size_t setup_len;
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
    struct image_recipe recipe;
    struct limits limits;         /* of a run, before the client's own */
    struct limits compile_limits; /* of the compile step */
    struct text prepare_script;   /* for /bin/sh; empty: nothing can be prepared */
    const char *prepare_env;      /* "NAME=value" for the script, or NULL; set by installed_languages_probe */
    struct text *depends;         /* paths of the image that the prepared files were made from */
    size_t depends_len;
    struct limits prepare_limits;
    enum run_class class; /* of a run */
    bool prestart;        /* the interpreter may start before its source arrives: it reads all of it first */
    struct text *cold_if; /* words: not for a source that holds one of them */
    size_t cold_if_len;
    struct text heap_full; /* what its runtime says on stderr when the heap it was given is full; empty: nothing */
    struct text hello_code, hello_stdin, hello_stdout; /* the proof that it works */
    bool available;       /* the image and `needs` are there; set by installed_languages_probe */
    struct text missing;  /* the first of `needs` that is not there; empty where the image itself is not */
    struct text prepared; /* the prepared folder, as the image sees it; empty: none that is up to date.  Probed too */
};

#define LANGUAGES_LIST_MAX 200

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
/* No languages, and room for LANGUAGES_LIST_MAX of them. */
int languages_init(struct languages *languages, struct error *err);
void languages_done(struct languages *languages);

/* By id or alias, ASCII case ignored; NULL if there is none. */
const struct language *languages_find(const struct languages *languages, struct text name);
/*
 * The language of that name, or one that is `of` it: the one whose version it is, else the first `of` it that answers
 * to it.  Only those that are available are chosen; the one named where none is.  NULL if there is none of that name.
 */
const struct language *languages_choose(const struct languages *languages, struct text name, struct text version);
bool language_answers_to(const struct language *language, struct text version);
