/*
 * isolate_arguments: the command line of one "isolate --run".
 *
 * Every word that came with the request stands behind "--", or is the value of an option of its own; none can be taken
 * for an option.  Limits that isolate reads as "none" when they are 0 are at least 1.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sandbox/protocol.h"

/* Folders of an image that become one --dir each. */
#define ISOLATE_FOLDERS_MAX 32
/* Options, two words a folder and a variable, the program's own words, NULL. */
#define ISOLATE_WORDS_MAX (64 + 2 * ISOLATE_FOLDERS_MAX + 2 * SLOT_WORDS_MAX)
#define ISOLATE_TEXT_BYTES 16384

struct isolate_run {
    const char *command;
    uint32_t box;
    bool cg;         /* isolate limits memory by its own control group */
    bool has_groups; /* the slot's groups limit memory and processes, so isolate need not */
    const char *meta_path;
    const char *image_path; /* where the image's root stands, absolute */
    const struct limits *limits;
    char *const *argv;
    char *const *env;
};

struct isolate_arguments {
    const char *words[ISOLATE_WORDS_MAX]; /* NULL-terminated */
    size_t len;
    char text[ISOLATE_TEXT_BYTES]; /* of the words made here; the others are borrowed */
    size_t text_len;
};

/* Lists the folders at image_path. */
int isolate_arguments_make(const struct isolate_run *run, struct isolate_arguments *ret, struct error *err);
