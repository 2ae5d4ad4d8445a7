/*
 * token: the name of a submission, a ULID (github.com/ulid/spec): 48 bits of milliseconds and 80 bits from
 * getrandom(2), as 26 characters of Crockford's base32.
 *
 * Tokens sort by time.  They cannot be guessed, because knowing a token is the right to read its results.
 */
#pragma once
#include <stdbool.h>

#include "base/text.h"

#define TOKEN_LEN 26
#define TOKEN_BYTES (TOKEN_LEN + 1)

extern const char token_alphabet[33]; /* the 32 characters of a token, by their value */

void token_new(char ret_token[TOKEN_BYTES]);
bool token_is_valid(struct text text); /* 26 characters of the alphabet, upper case */
