/* field_json: reads and checks single fields. */
#include "codec/field_json.h"

#include <stdio.h>

#include "base/base64.h"

struct json_path json_path_element(const struct json_path *outer, size_t index)
{
    struct json_path path;

    (void)snprintf(path.at, sizeof path.at, "%.72s[%zu]", outer->at, index);
    return path;
}

struct json_path json_path_field(const struct json_path *outer, const char *key)
{
    struct json_path path;

    (void)snprintf(path.at, sizeof path.at, "%.64s%s%.30s", outer->at, outer->at[0] != '\0' ? "." : "", key);
    return path;
}

const char *json_describe(const json_t *value, char ret[JSON_DESCRIBE_BYTES])
{
    if (value == NULL)
        return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    case JSON_STRING:
        if (json_string_length(value) == 0)
            return "an empty string";
        if (json_string_length(value) > 20)
            return "a string";
        (void)snprintf(ret, JSON_DESCRIBE_BYTES, "the string \"%s\"", json_string_value(value));
        break;
    case JSON_INTEGER:
        (void)snprintf(ret, JSON_DESCRIBE_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        (void)snprintf(ret, JSON_DESCRIBE_BYTES, "%.15g", json_real_value(value));
        break;
    }
    return ret;
}

int field_wrong(struct error *err, const struct json_path *path, const char *expected, const json_t *got)
{
    char described[JSON_DESCRIBE_BYTES];

    return error_field(err, path->at, "expected %s, got %s", expected, json_describe(got, described));
}

json_t *field_get(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

bool field_is_empty(const json_t *object, const char *key)
{
    const json_t *value = field_get(object, key);

    return value == NULL || (json_is_string(value) && json_string_length(value) == 0);
}

/* Adds the field to an error of a buffer or an arena, which knows none. */
static int at_field(const struct json_path *outer, const char *key, struct error *err)
{
    struct json_path path = json_path_field(outer, key);
    struct error inner = *err;

    if (inner.kind != ERROR_REQUEST || inner.field[0] != '\0')
        return -1;
    return error_field(err, path.at, "%s", inner.text);
}

int field_bool(const json_t *object, const char *key, const struct json_path *outer, bool *ret, struct error *err)
{
    const json_t *value = field_get(object, key);
    struct json_path path = json_path_field(outer, key);

    if (value == NULL)
        return 0;
    if (!json_is_boolean(value))
        return field_wrong(err, &path, "true or false", value);
    *ret = json_is_true(value);
    return 0;
}

int field_text(const json_t *object, const char *key, const struct json_path *outer, struct arena *arena,
               bool allow_nul, struct text *ret, bool *ret_is_set, struct error *err)
{
    const json_t *value = field_get(object, key);
    struct json_path path = json_path_field(outer, key);

    *ret_is_set = value != NULL;
    if (value == NULL)
        return 0;
    if (!json_is_string(value))
        return field_wrong(err, &path, "a string", value);
    struct text text = json_text(value);
    if (!allow_nul && memchr(text.at, '\0', text.len) != NULL)
        return error_field(err, path.at, "expected text without NUL, got one at byte %zu of %zu",
                           (size_t)((const char *)memchr(text.at, '\0', text.len) - text.at), text.len);
    return arena_copy(arena, text, ret, err) < 0 ? at_field(outer, key, err) : 0;
}

int field_bytes(const json_t *object, const char *key, const struct json_path *outer, struct arena *arena,
                struct text *ret, bool *ret_is_set, struct error *err)
{
    char key64[40];

    (void)snprintf(key64, sizeof key64, "%s_base64", key);
    const json_t *value = field_get(object, key64);
    struct json_path path = json_path_field(outer, key64);
    if (value == NULL)
        return field_text(object, key, outer, arena, true, ret, ret_is_set, err);
    if (!json_is_string(value))
        return field_wrong(err, &path, "a string of base64", value);
    if (field_get(object, key) != NULL)
        return error_field(err, path.at, "expected %s or %s, got both", key, key64);

    auto_buf struct buf decoded = { .max = SIZE_MAX / 4 };
    *ret_is_set = true;
    if (base64_decode(json_text(value), &decoded, err) < 0 || arena_copy(arena, buf_text(&decoded), ret, err) < 0)
        return at_field(outer, key64, err);
    return 0;
}

int field_array(const json_t *object, const char *key, const struct json_path *outer, size_t min, size_t max,
                const json_t **ret, struct error *err)
{
    const json_t *value = field_get(object, key);
    struct json_path path = json_path_field(outer, key);
    char expected[64];

    *ret = NULL;
    if (value == NULL)
        return 0;
    (void)snprintf(expected, sizeof expected, "an array of %zu to %zu", min, max);
    if (!json_is_array(value))
        return field_wrong(err, &path, expected, value);
    if (json_array_size(value) < min || json_array_size(value) > max)
        return error_field(err, path.at, "expected %s, got %zu", expected, json_array_size(value));
    *ret = value;
    return 0;
}
