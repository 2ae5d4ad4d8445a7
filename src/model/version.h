/*
 * version: numbers of versions, such as "3.11", "21" and "14.2-clang".
 *
 * Only the first two numbers distinguish versions: 3.11.0 and 3.11.9 are one minor version.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define VERSION_NUMBERS_MAX 6

struct version {
    uint64_t numbers[VERSION_NUMBERS_MAX];
    size_t numbers_len;
    struct text suffix; /* "clang" of "19-clang"; empty if there is none */
};

/*
 * Reads numbers joined by dots, and after them "-SUFFIX" or "+ANYTHING", which means nothing.  A last ".x" or ".*"
 * means nothing either.  False for all else; *ret is then undefined.  The suffix is borrowed from the text.
 */
bool version_parse(struct text text, struct version *ret);

/* Number by number: below 0 if `a` is older.  3.9 is older than 3.11, and 3 older than 3.0.  Suffixes do not count. */
int version_compare(const struct version *a, const struct version *b);
/* The same by the first two numbers, or by the first if one of the two has no second: 0 for 3.11.2 and 3.11, or 3. */
int version_compare_minor(const struct version *a, const struct version *b);
