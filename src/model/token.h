/*
 * token: names a submission.  A ULID (github.com/ulid/spec): 48 bits of milliseconds, 80 bits from
 * getrandom(2), as 26 characters of Crockford's base32.  Sorts by time, and cannot be guessed:
 * who knows a token may read its results.
 */
#pragma once
#include <stdbool.h>

#include "base/text.h"

#define TOKEN_LEN 26
#define TOKEN_BYTES (TOKEN_LEN + 1)

void token_new(char ret_token[TOKEN_BYTES]);
bool token_is_valid(struct text text); /* 26 characters of the alphabet, upper case */

/*
 * The place a submission is kept in, where there are several (docs/design/STORE.md): its last character, which is one of
 * sixteen random ones otherwise.  It never changes, so a token finds its place whatever places are added later.
 */
#define TOKEN_SHARDS_MAX 32
void token_set_shard(char token[TOKEN_BYTES], unsigned place);
unsigned token_shard(const char *token); /* TOKEN_SHARDS_MAX where it is no token */
