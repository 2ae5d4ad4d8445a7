/*
 * isolate_arguments: the command line of one "isolate --run".
 *
 * Every word of a request either follows "--" or is the value of an option, so none can be taken for an option.
 * isolate reads some limits of 0 as "no limit", so these are at least 1.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sandbox/protocol.h"

/* Top-level folders of an image, which need a --dir each. */
#define ISOLATE_FOLDERS_MAX 32
/* Options, two words for each folder and variable, the program's words, NULL. */
#define ISOLATE_WORDS_MAX (64 + 2 * ISOLATE_FOLDERS_MAX + 2 * SLOT_WORDS_MAX)
#define ISOLATE_TEXT_BYTES 16384

struct isolate_run {
    const char *command;
    uint32_t isolate_box;
    bool cg;         /* isolate limits memory by its own cgroup */
    bool has_groups; /* the slot's groups limit memory and processes */
    const char *meta_path;
    const char *image_path; /* absolute path of the image's root */
    const struct limits *limits;
    char *const *argv;
    char *const *env;
};

struct isolate_arguments {
    const char *words[ISOLATE_WORDS_MAX]; /* NULL-terminated */
    size_t len;
    char text[ISOLATE_TEXT_BYTES]; /* holds the words made here; all others are borrowed */
    size_t text_len;
};

/* Reads the list of folders at image_path. */
int isolate_arguments_make(const struct isolate_run *run, struct isolate_arguments *ret, struct error *err);
