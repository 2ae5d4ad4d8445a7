/*
 * field_json: reads the fields of a request, and says which one is wrong.  Only *_json.c files include this.
 *
 * A place is the way to an object in the request, as "[3].tests[0]"; the request itself is "".  A key that is missing
 * and one that is null are the same.  Texts are copied into the arena.  Errors are ERROR_REQUEST, with the field.
 */
#pragma once
#include <jansson.h>

#include "base/arena.h"
#include "base/text.h"

#define JSON_PATH_BYTES 96

struct path {
    char at[JSON_PATH_BYTES];
};

struct path json_path_element(const struct path *outer, size_t index);  /* outer[2] */
struct path json_path_field(const struct path *outer, const char *key); /* outer.key */

/* "a string", "the number 5", "an array", ... for "expected X, got Y". */
#define GOT_BYTES 48
const char *json_describe(const json_t *value, char ret[GOT_BYTES]);
int field_wrong(struct error *err, const struct path *path, const char *expected, const json_t *got);

/* NULL where it is missing or null. */
json_t *field_get(const json_t *object, const char *key);
/* Missing, null, or the empty string: what a further element of a batch takes from the first. */
bool field_is_empty(const json_t *object, const char *key);

/* With *ret_there false *ret is left alone. */
int field_bool(const json_t *object, const char *key, const struct path *outer, bool *ret, struct error *err);
int field_text(const json_t *object, const char *key, const struct path *outer, struct arena *arena, bool may_hold_nul,
               struct text *ret, bool *ret_there, struct error *err);
/* `key` as it is, or `key`_base64 decoded; both at once is an error. */
int field_bytes(const json_t *object, const char *key, const struct path *outer, struct arena *arena, struct text *ret,
                bool *ret_there, struct error *err);
/* An array; NULL where it is missing. */
int field_array(const json_t *object, const char *key, const struct path *outer, size_t min, size_t max,
                const json_t **ret, struct error *err);

/* A borrowed view of a JSON string. */
static inline struct text json_text(const json_t *string)
{
    return (struct text){ json_string_value(string), json_string_length(string) };
}
