/* text: comparing, UTF-8 and numbers.  Pure. */
#include "base/text.h"

#include <string.h>

#include "base/banned.h"
#include "base/utf8.h"

struct text text_of(const char *string)
{
    return (struct text){ string, string != NULL ? strlen(string) : 0 };
}

bool text_equal(struct text a, struct text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool text_equal_ignore_case(struct text a, struct text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

bool text_is_utf8(struct text text)
{
    const unsigned char *bytes = (const unsigned char *)text.at;
    size_t ignored;

    for (size_t at = 0, step; at < text.len; at += step) {
        step = utf8_step(bytes + at, text.len - at, &ignored);
        if (step == 0)
            return false;
    }
    return true;
}

int text_parse_u64(struct text text, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (text.len == 0)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return -1;
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.at[i] - '0'), &value))
            return -1;
    }
    *ret_value = value;
    return 0;
}
