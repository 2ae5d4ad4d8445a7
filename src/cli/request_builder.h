/*
 * program: a source file and what belongs to it, as one object of the HTTP API's requests; `evalx run` decodes it
 * through the same front door as the server, so both refuse the same things in the same words.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "model/language.h"

struct request_files {
    const char *source;   /* "-": stdin */
    const char *language; /* NULL: by the source's suffix */
    const char *input;    /* the program's stdin, a file or "-"; NULL: empty */
    const char *expected; /* a file, or NULL */
    const char *timeout;  /* seconds, or NULL */
    const char *memory;   /* "128m", or NULL */
    char *const *args;    /* args_len words */
    int args_len;
};

/* `languages` may be NULL where no language files are at hand: then the suffix is what the server is asked for. */
int request_from_files(const struct request_files *files, const struct languages *languages, json_t **ret,
                       struct error *err);

/* A whole file ("-": stdin), at most 64 MiB. */
int read_whole_file(const char *path, struct buf *ret, struct error *err);
