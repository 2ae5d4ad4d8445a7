/* program_json: reads the programs of a request, each of which is kept once.  Only *_json.c files include this. */
#pragma once
#include <jansson.h>

#include "base/hash.h"
#include "codec/field_json.h"
#include "model/submission.h"

/* The distinct programs of a request. */
struct program_list {
    const struct languages *languages;
    struct text images; /* the extensions that the client may use: image_list_has */
    struct arena *arena;
    struct program *programs; /* with room for one program per element */
    size_t len;
    char (*digests)[HASH_HEX_BYTES]; /* of programs[] by index; "" until needed */
};

/* An element of the request and its position. */
struct element {
    const json_t *object;
    struct json_path path;
};

/* True if the element names a language, version, image or code other than the first element's. */
bool program_differs(const struct element *element, const struct element *first);

/*
 * Finds the element's program in the list, or adds it.  If `first` is not NULL, the element inherits from it what it
 * does not name itself; it inherits the files only if its language, version and code do not differ.
 */
int program_find(struct program_list *list, const struct element *element, const struct element *first,
                 uint32_t *ret_index, struct error *err);
