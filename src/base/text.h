/*
 * text: a borrowed run of bytes.  Not NUL-terminated, may hold NUL bytes, owns nothing:
 * whoever made the bytes keeps them alive for as long as the text is used.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct error;

struct text {
    const char *at; /* may be NULL when len is 0 */
    size_t len;
};

#define TEXT(literal) ((struct text){ "" literal, sizeof(literal) - 1 })

/* printf("%.*s", TEXT_ARG(t)); only for text known to be shorter than INT_MAX. */
#define TEXT_ARG(t) ((int)(t).len), ((t).at != NULL ? (t).at : "")

struct text text_of(const char *string); /* of a NUL-terminated string; NULL gives the empty text */
bool text_equal(struct text a, struct text b);
bool text_equal_ignore_case(struct text a, struct text b); /* ASCII only */

/* Is it well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF)?  NUL is allowed. */
bool text_is_utf8(struct text text);

/*
 * Appends `text` to `out`, with every maximal ill-formed part replaced by U+FFFD (the Unicode
 * standard's "substitution of maximal subparts", 3.9).  *ret_replaced says whether any was.
 */
int text_repair_utf8(struct text text, struct buf *out, bool *ret_replaced, struct error *err);

/* Decimal digits only, no sign, no blanks.  -1 (no *err) if it is not that or does not fit. */
int text_parse_u64(struct text text, uint64_t *ret_value);
