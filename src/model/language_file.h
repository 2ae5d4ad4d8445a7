/* language_file: one file of languages/ as one or more struct language.  languages/README.md describes every key. */
#pragma once
#include "base/arena.h"
#include "model/image_extension.h"

/* A language's id is also the name of its queue in a store, which bounds its length. */
#define LANGUAGE_FILE_ID_BYTES_MAX 31
#define LANGUAGE_ID_BYTES_MAX (LANGUAGE_FILE_ID_BYTES_MAX + 1 + IMAGE_EXTENSION_BYTES_MAX) /* of a variant */
#define LANGUAGE_WORDS_MAX 128

/* The values that a language inherits. */
struct language_layer;

/*
 * Reads defaults.conf.  *ret lives in `arena`.
 * All errors of these functions are ERROR_SETUP, with file and line where the mistake is on one line.
 */
int language_defaults_read(const char *path, const struct config *config, struct arena *arena,
                           const struct language_layer **ret, struct error *err);
/*
 * Appends the language of a file, then its versions, to `languages`, which languages_init made.  `defaults` (or NULL)
 * holds for files that begin with [language]; a file without that section inherits nothing.
 */
int language_file_read(const char *path, const struct config *config, const struct language_layer *defaults,
                       struct languages *languages, struct error *err);
/* The same for text in memory; `name` stands for the path in errors. */
int language_text_read(struct text text, const char *name, const struct config *config,
                       const struct language_layer *defaults, struct languages *languages, struct error *err);
