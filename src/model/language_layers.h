/*
 * language_layers: the values of a language file, with inheritance.  Internal to language_file.
 *
 * The values of one language form a layer.  A layer begins as a copy of the one it inherits from: evalx's own defaults,
 * then defaults.conf, then [language], then [version X].
 */
#pragma once
#include <stdbool.h>

#include "model/language_file.h"

/* The keys above `name` belong to one version and are not inherited. */
#define KEYS(X)                                                                                                        \
    X("", id, SHAPE_LINE)                                                                                              \
    X("", version, SHAPE_LINE)                                                                                         \
    X("", of, SHAPE_LINE)                                                                                              \
    X("", aliases, SHAPE_WORDS)                                                                                        \
    X("", versions, SHAPE_WORDS)                                                                                       \
    X("", standards, SHAPE_WORDS)                                                                                      \
    X("", name, SHAPE_LINE)                                                                                            \
    X("", one_major, SHAPE_YES_NO)                                                                                     \
    X("", image, SHAPE_LINE)                                                                                           \
    X("", class, SHAPE_LINE)                                                                                           \
    X("", source, SHAPE_LINE)                                                                                          \
    X("", binary, SHAPE_LINE)                                                                                          \
    X("", compile, SHAPE_WORDS)                                                                                        \
    X("", run, SHAPE_WORDS)                                                                                            \
    X("", prestart, SHAPE_YES_NO)                                                                                      \
    X("", cold_if, SHAPE_WORDS)                                                                                        \
    X("", suffixes, SHAPE_WORDS)                                                                                       \
    X("", crlf, SHAPE_LINE)                                                                                            \
    X("", assertions, SHAPE_WORDS)                                                                                     \
    X("", no_assertions, SHAPE_WORDS)                                                                                  \
    X("", heap, SHAPE_LINE)                                                                                            \
    X("", stack, SHAPE_LINE)                                                                                           \
    X("", syntax_error, SHAPE_BLOCK)                                                                                   \
    X("", heap_full, SHAPE_LINE)                                                                                       \
    X("", env, SHAPE_ENV)                                                                                              \
    X("", needs, SHAPE_WORDS)                                                                                          \
    X("image", suite, SHAPE_LINE)                                                                                      \
    X("image", on, SHAPE_LINE)                                                                                         \
    X("image", packages, SHAPE_WORDS)                                                                                  \
    X("image", pypi, SHAPE_WORDS)                                                                                      \
    X("image", npm, SHAPE_WORDS)                                                                                       \
    X("image", maven, SHAPE_WORDS)                                                                                     \
    X("image", gomod, SHAPE_WORDS)                                                                                     \
    X("image", crates, SHAPE_WORDS)                                                                                    \
    X("image", setup_files, SHAPE_WORDS)                                                                               \
    X("image", setup, SHAPE_LINES)                                                                                     \
    X("prepare", depends, SHAPE_WORDS)                                                                                 \
    X("prepare", script, SHAPE_BLOCK)                                                                                  \
    X("prepare", script_file, SHAPE_LINE)                                                                              \
    X("hello", code, SHAPE_BLOCK)                                                                                      \
    X("hello", stdin, SHAPE_BLOCK)                                                                                     \
    X("hello", stdout, SHAPE_BLOCK)

enum key {
#define X(section, key, shape) KEY_##key,
    KEYS(X)
#undef X
        KEY_COUNT_,
};

/* Sections that hold limits. */
enum limits_of { LIMITS_RUN, LIMITS_COMPILE, LIMITS_PREPARE, LIMITS_COUNT_ };

struct value {
    bool is_own;        /* set in this layer, not inherited */
    struct text *parts; /* words or lines; an inherited array belongs to the other layer */
    size_t parts_len;
};

struct language_layer {
    struct language_layer *next; /* of the same file */
    struct value values[KEY_COUNT_];
    struct limits limits[LIMITS_COUNT_];
    uint32_t limits_own[LIMITS_COUNT_]; /* one bit for each key, as is_own */
};

/*
 * Reads the file at `path`, or `text` if `path` is NULL, as a list of layers: the language, then its versions.
 * {version} is filled in; nothing else is checked.  All errors are ERROR_SETUP and begin with `name` and the line.
 */
int language_layers_read(const char *path, struct text text, const char *name, const struct config *config,
                         const struct language_layer *defaults, struct arena *arena, struct language_layer **ret,
                         struct error *err);

/* The value of a key of one line; empty if there is none. */
struct text layer_line(const struct language_layer *layer, enum key key);
/* The keys of [image]. */
struct image_recipe layer_recipe(const struct language_layer *layer);
