/*
 * field_json: reads the fields of a request's JSON objects.  Only *_json.c files include this.
 *
 * A json_path is the position of a value in the request, as "[3].tests[0]"; that of the request itself is "".  A key
 * that is null counts as missing.  Texts are copied into the arena.  Errors are ERROR_REQUEST and name the field.
 */
#pragma once
#include <jansson.h>

#include "base/arena.h"
#include "base/text.h"

#define JSON_PATH_BYTES 96

struct json_path {
    char at[JSON_PATH_BYTES];
};

struct json_path json_path_element(const struct json_path *outer, size_t index);  /* outer[2] */
struct json_path json_path_field(const struct json_path *outer, const char *key); /* outer.key */

/* Describes a value for messages: "the string \"x\"", "5", "an array", ... */
#define JSON_DESCRIBE_BYTES 48
const char *json_describe(const json_t *value, char ret[JSON_DESCRIBE_BYTES]);
/* Reports that `got` is not what was expected. */
int field_wrong(struct error *err, const struct json_path *path, const char *expected, const json_t *got);

/* NULL if the key is missing or null. */
json_t *field_get(const json_t *object, const char *key);
/* True if the key is missing, null or the empty string: then a later element of a batch inherits it from the first. */
bool field_is_empty(const json_t *object, const char *key);

/* These leave *ret alone if the key is missing; *ret_is_set tells whether it is there. */
int field_bool(const json_t *object, const char *key, const struct json_path *outer, bool *ret, struct error *err);
int field_text(const json_t *object, const char *key, const struct json_path *outer, struct arena *arena,
               bool allow_nul, struct text *ret, bool *ret_is_set, struct error *err);
/* Reads `key`, or `key`_base64 and decodes it.  Both at once are an error. */
int field_bytes(const json_t *object, const char *key, const struct json_path *outer, struct arena *arena,
                struct text *ret, bool *ret_is_set, struct error *err);
/* An array with min to max elements; NULL if the key is missing. */
int field_array(const json_t *object, const char *key, const struct json_path *outer, size_t min, size_t max,
                const json_t **ret, struct error *err);

/* Borrows the bytes of a JSON string. */
static inline struct text json_text(const json_t *string)
{
    return (struct text){ json_string_value(string), json_string_length(string) };
}
