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
    struct text suite;     /* "trixie" */
    struct text on;        /* the image below this one; empty: the suite's base */
    struct text *packages; /* of the distribution; those of other registries follow */
    size_t packages_len;
    struct text *pypi;
    size_t pypi_len;
    struct text *npm;
    size_t npm_len;
    struct text *maven;
    size_t maven_len;
    struct text *gomod;
    size_t gomod_len;
    struct text *crates;
    size_t crates_len;
    struct text *setup_files; /* names of files in setup/, beside the language file */
    size_t setup_files_len;
    struct text *setup; /* shell commands */
    size_t setup_len;
};

struct language {
    struct text id;      /* "python" */
    struct text name;    /* "Python" */
    struct text version; /* the installed one: "3.11"; shown to clients */
    struct text of;      /* "python" for its version "python-3.13"; empty for a language itself */
    struct text base; /* "python-3.13" for its variant "python-3.13@my-course" (image_extension.h); otherwise empty */
    struct text *aliases; /* other names: "python3", "py" */
    size_t aliases_len;
    struct text *versions; /* older versions that it may serve, and names of its own: "3.9", "pypy" */
    size_t versions_len;
    struct text *standards; /* numbers of standards that it implements, which are no versions: "99" of C */
    size_t standards_len;
    bool one_major;          /* versions with other first numbers count as the same major version */
    struct text image;       /* "host" */
    struct text source_file; /* "main.py" */
    struct text binary_file; /* "main"; empty if nothing is compiled */
    struct command compile;  /* words_len 0: nothing to compile */
    struct command run;
    struct text *suffixes; /* of the files that {files} lists; at least one */
    size_t suffixes_len;
    bool crlf_convert;       /* CR LF in sources becomes LF */
    struct text *assertions; /* the words of {assertions}, if a request wants assertions */
    size_t assertions_len;
    struct text *no_assertions; /* and if it does not */
    size_t no_assertions_len;
    struct heap_share heap;
    bool stack_follows_memory; /* a run's stack limit is its memory limit, if the client sets none */
    struct text
        *syntax_error; /* patterns (error_pattern.h) of what the interpreter prints for a source it cannot read */
    size_t syntax_error_len;
    struct text *env; /* "NAME=value" */
    size_t env_len;
    struct text *needs; /* paths inside the image without which the language is not available */
    size_t needs_len;
    struct image_recipe recipe;
    struct limits limits;         /* of a run, if the client sets none */
    struct limits compile_limits; /* of the compile step */
    struct text prepare_script;   /* for /bin/sh; empty: nothing can be prepared */
    const char *prepare_env;      /* "NAME=value" for the script, or NULL; set by installed_languages_probe */
    struct text *depends;         /* paths of the image that the prepared files were made from */
    size_t depends_len;
    struct limits prepare_limits;
    enum run_class class; /* of a run */
    bool prestart;        /* the interpreter may start before its source arrives */
    struct text *cold_if; /* words; no prestart for a source that contains one */
    size_t cold_if_len;
    struct text heap_full;                             /* printed on stderr when the heap is full; empty: nothing */
    struct text hello_code, hello_stdin, hello_stdout; /* the hello test */
    bool available;                                    /* set by installed_languages_probe, as the next three */
    struct text layers;   /* the names of the image's layers, which change with its content; may be empty */
    struct text missing;  /* the first of `needs` that is missing; empty if the image itself is */
    struct text prepared; /* the prepared folder, as a path in a box; empty: none that is up to date */
};

#define LANGUAGES_LIST_MAX 1000

struct languages {
    struct language *list; /* sorted by id */
    size_t len;
    bool require_available; /* set by processes that run programs: requests for others are refused */
    struct arena arena;
};

/*
 * Reads every *.conf of the folder.  A mistake is an ERROR_SETUP with the file, the line and what was expected; so is a
 * name that two languages share.  [limits] are cut to the ceilings of `config`; the limits of compilers are not.
 * Then adds the variants for the extensions in config->images (image_extension.h).
 * On error nothing is left to free.
 */
int languages_load(const char *folder, const struct config *config, struct languages *ret, struct error *err);
/* An empty list with room for LANGUAGES_LIST_MAX languages. */
int languages_init(struct languages *languages, struct error *err);
void languages_done(struct languages *languages);

/* A list of this language only, for tests of it.  It borrows the language; there is nothing to free. */
struct languages languages_only(const struct language *language);

/* By id or alias, ASCII case ignored; NULL if there is none. */
const struct language *languages_find(const struct languages *languages, struct text name);
/* The id without the image of a variant: "python-3.13" for "python-3.13@my-course". */
struct text language_base_id(struct text id);
