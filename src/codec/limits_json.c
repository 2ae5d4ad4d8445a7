/* limits_json: "timeout", "memory_limit" and "limits". */
#include "codec/limits_json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static void set_cpu(struct limits *limits, const struct limits *ceiling, uint64_t cpu_us)
{
    limits_set_timeout(limits, cpu_us);
    if (limits->wall_us > ceiling->wall_us) /* the client did not ask for this wall time, so it may be lowered */
        limits->wall_us = ceiling->wall_us;
}

/* A number of seconds.  Older clients send null or "" for the default. */
static int apply_timeout(const json_t *object, const struct json_path *outer, const struct limits *ceiling,
                         struct limits *limits, struct error *err)
{
    const json_t *value = field_get(object, "timeout");
    struct json_path path = json_path_field(outer, "timeout");
    char got[JSON_DESCRIBE_BYTES];

    if (field_is_empty(object, "timeout"))
        return 0;
    if (!json_is_number(value))
        return field_wrong(err, &path, "a number of seconds", value);
    double seconds = json_number_value(value);
    double most = (double)ceiling->cpu_us / 1e6;
    if (!(seconds >= 0.001 && seconds <= most))
        return error_field(err, path.at, "expected 0.001 to %.15g seconds, got %s", most, json_describe(value, got));
    set_cpu(limits, ceiling, (uint64_t)(seconds * 1e6 + 0.5));
    return 0;
}

static int apply_memory(const json_t *object, const struct json_path *outer, const struct limits *ceiling,
                        struct limits *limits, struct error *err)
{
    const uint64_t floor = 64 << 10;
    const json_t *value = field_get(object, "memory_limit");
    struct json_path path = json_path_field(outer, "memory_limit");
    char got[JSON_DESCRIBE_BYTES];
    uint64_t bytes;

    if (field_is_empty(object, "memory_limit"))
        return 0;
    if (json_is_integer(value)) {
        bytes = json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
    } else if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value) ||
               limits_parse_memory(json_string_value(value), &bytes, err) < 0) {
        return field_wrong(err, &path, "a size such as \"128m\" or \"1g\", or a whole number of bytes", value);
    }
    if (bytes < floor || bytes > ceiling->memory_bytes)
        return error_field(err, path.at, "expected 64k (%" PRIu64 " bytes) to %" PRIu64 " bytes, got %s", floor,
                           ceiling->memory_bytes, json_describe(value, got));
    limits->memory_bytes = bytes;
    return 0;
}

static int apply_one(const json_t *value, const struct json_path *path, size_t field, const struct limits *ceiling,
                     struct limits *limits, struct error *err)
{
    const struct limit_field *limit = &limit_fields[field];
    uint64_t most = limits_get(ceiling, field) / limit->factor;
    char got[JSON_DESCRIBE_BYTES];

    if (!json_is_integer(value))
        return field_wrong(err, path, "a whole number", value);
    json_int_t number = json_integer_value(value);
    if (number < 0 || (uint64_t)number < limit->floor || (uint64_t)number > most)
        return error_field(err, path->at, "expected %" PRIu64 " to %" PRIu64 ", got %s", limit->floor, most,
                           json_describe(value, got));
    limits_set(limits, field, (uint64_t)number * limit->factor);
    return 0;
}

/* A misspelt limit would leave the program with another one than the client wants. */
static int check_limit_names(const json_t *asked, const struct json_path *path, struct error *err)
{
    char known[256] = "";
    size_t len = 0;
    const char *key;
    json_t *value;

    for (size_t i = 0; i < LIMIT_FIELDS_LEN; i++)
        if (limit_fields[i].key != NULL)
            len += (size_t)snprintf(known + len, sizeof known - len, "%s%s", len > 0 ? ", " : "", limit_fields[i].key);
    assert(len < sizeof known);
    json_object_foreach((json_t *)asked, key, value)
    {
        bool is_known = false;
        for (size_t i = 0; i < LIMIT_FIELDS_LEN && !is_known; i++)
            is_known = limit_fields[i].key != NULL && strcmp(key, limit_fields[i].key) == 0;
        if (!is_known)
            return error_field(err, path->at, "unknown limit \"%.40s\"; expected %s", key, known);
    }
    return 0;
}

static int apply_limits(const json_t *object, const struct json_path *outer, const struct limits *ceiling,
                        struct limits *limits, struct error *err)
{
    const json_t *asked = field_get(object, "limits");
    struct json_path inner = json_path_field(outer, "limits");

    if (asked == NULL)
        return 0;
    if (!json_is_object(asked))
        return field_wrong(err, &inner, "an object", asked);
    if (check_limit_names(asked, &inner, err) < 0)
        return -1;
    for (size_t i = 0; i < LIMIT_FIELDS_LEN; i++) {
        if (limit_fields[i].key == NULL)
            continue;
        const json_t *value = field_get(asked, limit_fields[i].key);
        struct json_path path = json_path_field(&inner, limit_fields[i].key);
        if (value != NULL && apply_one(value, &path, i, ceiling, limits, err) < 0)
            return -1;
    }
    /* If the object sets no wall time, it follows the CPU time. */
    bool has_wall = field_get(asked, "wall_time_ms") != NULL || !field_is_empty(object, "timeout");
    if (!has_wall && field_get(asked, "cpu_time_ms") != NULL)
        set_cpu(limits, ceiling, limits->cpu_us);
    return 0;
}

int limits_apply_simple(const json_t *object, const struct json_path *path, const struct limits *ceiling,
                        struct limits *limits, struct error *err)
{
    if (apply_timeout(object, path, ceiling, limits, err) < 0)
        return -1;
    return apply_memory(object, path, ceiling, limits, err);
}

int limits_apply(const json_t *object, const struct json_path *path, const struct limits *ceiling,
                 struct limits *limits, struct error *err)
{
    if (limits_apply_simple(object, path, ceiling, limits, err) < 0)
        return -1;
    return apply_limits(object, path, ceiling, limits, err);
}
