/* language_file: one file of languages/ as a struct language.  languages/README.md describes every key. */
#pragma once
#include "base/arena.h"
#include "model/language.h"

/* A store's lane is a language's id, so it has to fit there. */
#define LANGUAGE_ID_BYTES_MAX 31
#define LANGUAGE_WORDS_MAX 128

/* The strings of *ret live in `arena`.  All errors are ERROR_SETUP, with file and line where there is one. */
int language_file_read(const char *path, const struct config *config, struct arena *arena, struct language *ret,
                       struct error *err);
/* The same for text that is there already; `name` stands for the path in errors. */
int language_text_read(struct text text, const char *name, const struct config *config, struct arena *arena,
                       struct language *ret, struct error *err);
