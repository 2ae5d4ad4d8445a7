/*
 * request_builder: builds a request object of the HTTP API from a source file and its options.
 *
 * `evalx run` decodes it with the decoder of the server.  So both refuse the same requests with the same messages.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "model/language.h"

struct request_files {
    const char *source;   /* "-": stdin */
    const char *language; /* NULL: by the suffix of the source */
    const char *input;    /* the program's stdin, a file or "-"; NULL: empty */
    const char *expected; /* a file, or NULL */
    const char *timeout;  /* seconds, or NULL */
    const char *memory;   /* "128m", or NULL */
    const char *network;  /* "loopback", "none" or NULL */
    const char *image;    /* an extension of the language's image, or NULL */
    bool assertions;
    char *const *args; /* args_len words */
    int args_len;
};

/* `languages` may be NULL without language files.  Then the suffix is the name of the language. */
int request_from_files(const struct request_files *files, const struct languages *languages, json_t **ret,
                       struct error *err);

/* Reads a whole file ("-": stdin) of at most 64 MiB. */
int read_whole_file(const char *path, struct buf *ret, struct error *err);
