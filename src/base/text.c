/* text: borrowed bytes; comparing, UTF-8, numbers.  Pure. */
#include "base/text.h"

#include <string.h>

#include "base/buf.h"
#include "base/error.h"
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

/* How many bytes from `from` on are well-formed; *ret_bad is the length of the ill-formed part behind them, or 0. */
static size_t well_formed_run(struct text text, size_t from, size_t *ret_bad)
{
    const unsigned char *bytes = (const unsigned char *)text.at;
    size_t at = from;

    *ret_bad = 0;
    while (at < text.len) {
        size_t bad = 0;
        size_t step = utf8_step(bytes + at, text.len - at, &bad);
        if (step == 0) {
            *ret_bad = bad;
            break;
        }
        at += step;
    }
    return at - from;
}

bool text_is_utf8(struct text text)
{
    size_t bad;

    return well_formed_run(text, 0, &bad) == text.len;
}

int text_repair_utf8(struct text text, struct buf *out, bool *ret_replaced, struct error *err)
{
    size_t before = out->len;
    size_t at = 0;
    bool replaced = false;

    while (at < text.len) {
        size_t bad;
        size_t good = well_formed_run(text, at, &bad);
        if (buf_append(out, text.at + at, good, err) < 0)
            goto undo;
        if (bad > 0 && buf_append(out, "\xef\xbf\xbd", 3, err) < 0)
            goto undo;
        replaced |= bad > 0;
        at += good + bad;
    }
    *ret_replaced = replaced;
    return 0;

undo:
    buf_cut(out, before);
    return -1;
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
