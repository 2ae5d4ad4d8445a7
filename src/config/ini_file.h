/*
 * ini_file: reads an INI file line by line and hands out its entries; says file and line of every mistake.
 *
 *   key = value             "key: value" is the same; blanks around both are dropped
 *   [section]
 *     more                  an indented line continues the entry above it
 *   # or ; begins a comment line; " ;" (a blank before it) a comment behind a value
 *
 * Lines are UTF-8 of at most 198 bytes (inih's buffer; it would cut a longer one in two without a word).
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
    bool continues; /* one more line of the same key */
};

/* Returns 0, or -1 with *err; file and line are put before its text by the caller of it, here. */
typedef int ini_entry_handler(void *context, const struct ini_entry *entry, struct error *err);

/* All errors are ERROR_SETUP. The first one ends the reading. */
int ini_file_read(const char *path, ini_entry_handler *handler, void *context, struct error *err);
/* The whole file, a regular one, added to *ret. */
int ini_file_text(const char *path, struct buf *ret, struct error *err);
/* The same as ini_file_read for text that is there already; `name` stands for the path in errors. */
int ini_text_read(struct text text, const char *name, ini_entry_handler *handler, void *context, struct error *err);
/* The same; the handler also gets an entry without a key (NULL) for the start of each section. */
int ini_text_read_sections(struct text text, const char *name, ini_entry_handler *handler, void *context,
                           struct error *err);
