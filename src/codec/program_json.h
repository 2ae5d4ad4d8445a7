/*
 * program_json: the programs a request names, each kept once.  Only *_json.c files include this.
 */
#pragma once
#include <jansson.h>

#include "base/hash.h"
#include "codec/field_json.h"
#include "model/submission.h"

/* The programs found so far; lives as long as one request_decode. */
struct program_list {
    const struct languages *languages;
    struct arena *arena;
    struct program *programs; /* room for one an element */
    size_t len;
    char (*digests)[HASH_HEX_BYTES]; /* of the program with the same index; "" until it is needed */
};

/* An element, and where it stands. */
struct element {
    const json_t *object;
    struct path path;
};

/* Does the element name a language, version or code other than the first's? */
bool program_is_other(const struct element *element, const struct element *first);

/*
 * Finds or adds the element's program.  What the element does not name is taken from `first`, where that is not NULL;
 * the files only if it names no other program.  An equal program that is there already is used.
 */
int program_find(struct program_list *list, const struct element *element, const struct element *first,
                 uint32_t *ret_index, struct error *err);
