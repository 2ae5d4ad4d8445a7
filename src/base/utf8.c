/*
 * utf8: reads one character.
 *
 * Overlong forms, surrogates and values over U+10FFFF show in the range of the second byte.  So a table with one row
 * per group of lead bytes decides everything but missing continuation bytes.
 */
#include "base/utf8.h"

#include <assert.h>
#include <stdint.h>

struct lead {
    uint8_t first, last; /* lead bytes of this row */
    uint8_t len;
    uint8_t second_first, second_last; /* what may follow the lead byte */
};

static const struct lead leads[] = {
    { 0xc2, 0xdf, 2, 0x80, 0xbf }, { 0xe0, 0xe0, 3, 0xa0, 0xbf }, { 0xe1, 0xec, 3, 0x80, 0xbf },
    { 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf }, { 0xf0, 0xf0, 4, 0x90, 0xbf },
    { 0xf1, 0xf3, 4, 0x80, 0xbf }, { 0xf4, 0xf4, 4, 0x80, 0x8f },
};

static const struct lead *find_lead(unsigned char byte)
{
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++)
        if (byte >= leads[i].first && byte <= leads[i].last)
            return &leads[i];
    return NULL;
}

size_t utf8_step(const unsigned char *at, size_t len, size_t *ret_bad)
{
    assert(len > 0);
    if (at[0] < 0x80)
        return 1;

    const struct lead *lead = find_lead(at[0]);
    if (lead == NULL || len < 2 || at[1] < lead->second_first || at[1] > lead->second_last) {
        *ret_bad = 1;
        return 0;
    }
    for (size_t i = 2; i < lead->len; i++)
        if (i >= len || (at[i] & 0xc0) != 0x80) {
            *ret_bad = i;
            return 0;
        }
    return lead->len;
}

uint32_t utf8_code(const unsigned char *at, size_t len)
{
    static const unsigned char lead_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    uint32_t code = at[0] & lead_bits[len];

    for (size_t i = 1; i < len; i++)
        code = code << 6 | (at[i] & 0x3f);
    return code;
}

bool utf8_is_control(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = { { 0, 0x1f },        { 0x7f, 0x9f },     { 0x61c, 0x61c },
                   { 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2066, 0x2069 } };

    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}
