/*
 * ini_file: reads an INI file line by line and calls a handler for each entry.  Errors name file and line.
 *
 *   key = value             "key: value" is the same; surrounding blanks are dropped
 *   [section]
 *     more                  an indented line continues the entry above it
 *   # or ; begins a comment line; " ;" (with the blank) begins a comment after a value
 *
 * Lines are UTF-8 of at most 198 bytes (inih's buffer; inih would silently split a longer line).
 */
#pragma once
#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/text.h"

#define INI_FILE_BYTES_MAX (256u << 10)

struct ini_entry {
    const char *section; /* "" before the first */
    const char *key;
    const char *value;
    unsigned line;  /* number of the line, from 1 */
    bool continues; /* one more line of the same key */
};

/* Returns 0, or -1 with *err; the reader adds file and line to the text. */
typedef int ini_entry_handler(void *context, const struct ini_entry *entry, struct error *err);

/* All errors are ERROR_SETUP.  Reading stops at the first one. */
int ini_file_read(const char *path, ini_entry_handler *handler, void *context, struct error *err);
/* Appends the whole file, which must be a regular one, to *ret. */
int ini_file_text(const char *path, struct buf *ret, struct error *err);
/* Like ini_file_read, for text in memory; errors show `name` as the path. */
int ini_text_read(struct text text, const char *name, ini_entry_handler *handler, void *context, struct error *err);
/* The same; the handler also gets an entry without a key (NULL) for the start of each section. */
int ini_text_read_sections(struct text text, const char *name, ini_entry_handler *handler, void *context,
                           struct error *err);
