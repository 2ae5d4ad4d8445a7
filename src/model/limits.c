/* limits: defaults and ceilings, and the two abbreviated forms. */
#include "model/limits.h"

#include <assert.h>

#include "base/text.h"
#include "config/config.h"

const struct limit_field limit_fields[LIMIT_FIELDS_LEN] = {
#define X(field, type, name, per_key, least, ...) { .key = name, .factor = per_key, .floor = least },
    LIMITS_LIST(X)
#undef X
};

const struct limits limits_unbounded = {
#define X(field, type, ...) .field = (type)-1,
    LIMITS_LIST(X)
#undef X
};

enum field {
#define X(field, ...) FIELD_##field,
    LIMITS_LIST(X)
#undef X
};

uint64_t limits_get(const struct limits *limits, size_t field)
{
    switch ((enum field)field) {
#define X(name, ...)                                                                                                   \
    case FIELD_##name:                                                                                                 \
        return limits->name;
        LIMITS_LIST(X)
#undef X
    }
    assert(0 && "no such limit");
    return 0;
}

void limits_set(struct limits *limits, size_t field, uint64_t value)
{
    switch ((enum field)field) {
#define X(name, type, ...)                                                                                             \
    case FIELD_##name:                                                                                                 \
        limits->name = (type)value;                                                                                    \
        assert(limits->name == value);                                                                                 \
        return;
        LIMITS_LIST(X)
#undef X
    }
    assert(0 && "no such limit");
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void limits_ceiling(const struct config *config, struct limits *ret)
{
#define X(field, type, key, factor, floor, standard, ceiling, ...) ret->field = (type)smaller(ceiling, (type)-1);
    LIMITS_LIST(X)
#undef X
}

void limits_default(const struct config *config, struct limits *ret)
{
    limits_ceiling(config, ret);
#define X(field, type, key, factor, floor, standard, ...) ret->field = (type)smaller(ret->field, standard);
    LIMITS_LIST(X)
#undef X
}

void limits_set_timeout(struct limits *limits, uint64_t timeout_us)
{
    uint64_t spare = timeout_us / 2;

    if (spare < 1000000)
        spare = 1000000;
    limits->cpu_us = timeout_us;
    if (__builtin_add_overflow(timeout_us, spare, &limits->wall_us))
        limits->wall_us = UINT64_MAX;
}

int limits_parse_memory(const char *value, uint64_t *ret_bytes, struct error *err)
{
    static const struct {
        const char *suffix;
        unsigned shift;
    } units[] = {
        { "", 0 },    { "b", 0 },    { "k", 10 }, { "kb", 10 }, { "kib", 10 }, { "m", 20 },
        { "mb", 20 }, { "mib", 20 }, { "g", 30 }, { "gb", 30 }, { "gib", 30 },
    };
    size_t digits_len = strspn(value, "0123456789");
    uint64_t number;

    if (text_parse_u64((struct text){ value, digits_len }, &number) == 0)
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (text_equal_ignore_case(text_of(value + digits_len), text_of(units[i].suffix)) &&
                !__builtin_mul_overflow(number, UINT64_C(1) << units[i].shift, &number)) {
                *ret_bytes = number;
                return 0;
            }
    return error_set(err, ERROR_REQUEST, 0, "expected a size such as \"128m\" or \"1g\", got \"%.40s\"", value);
}
