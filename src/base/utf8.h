/* utf8: reads one character of a byte string (Unicode standard, table 3-7).  Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Returns the length (1..4) of the well-formed character at `at`.  If there is none, returns 0 and sets *ret_bad to the
 * length (1..3) of the maximal ill-formed part, which a repair replaces by one U+FFFD.  `len` is at least 1.
 */
size_t utf8_step(const unsigned char *at, size_t len, size_t *ret_bad);

/* The number of the well-formed character of `len` bytes (1..4) at `at`. */
uint32_t utf8_code(const unsigned char *at, size_t len);

/*
 * True for characters that a terminal acts upon instead of showing them: the control characters C0 and C1, those that
 * change the direction of text, and the separators of lines and paragraphs.
 */
bool utf8_is_control(uint32_t code);
