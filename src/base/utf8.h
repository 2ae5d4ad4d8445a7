/* utf8: one step through bytes that may or may not be UTF-8 (Unicode standard, table 3-7). Pure. */
#pragma once
#include <stddef.h>

/*
 * Length (1..4) of the well-formed character at `at`, or 0 where there is none; only then *ret_bad is set, to the
 * length (1..3) of the maximal ill-formed part, which a repair replaces by one U+FFFD.  `len` is at least 1.
 */
size_t utf8_step(const unsigned char *at, size_t len, size_t *ret_bad);
