/*
 * text: a borrowed string of bytes.  It is not NUL-terminated and may contain NUL bytes.  Its bytes belong to someone
 * else, who keeps them alive while the text is used.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    const char *at; /* may be NULL when len is 0 */
    size_t len;
};

#define TEXT(literal) ((struct text){ "" literal, sizeof(literal) - 1 })

/* printf("%.*s", TEXT_ARG(t)); only for texts shorter than INT_MAX. */
#define TEXT_ARG(t) ((int)(t).len), ((t).at != NULL ? (t).at : "")

struct text text_of(const char *string); /* of a NUL-terminated string; NULL gives an empty text */
bool text_equal(struct text a, struct text b);
bool text_equal_ignore_case(struct text a, struct text b); /* ASCII only */

/* True for well-formed UTF-8: no surrogates, no overlong forms, at most U+10FFFF.  NUL is allowed. */
bool text_is_utf8(struct text text);

/* Accepts decimal digits only: no sign, no blanks.  Returns -1 (without *err) for anything else or an overflow. */
int text_parse_u64(struct text text, uint64_t *ret_value);
