/*
 * token_shard: the number of the shard that holds a submission, stored in the last character of its token.
 *
 * That character replaces one of sixteen random ones.  It never changes, so a token finds its shard whatever shards are
 * added to the list later.
 */
#pragma once
#include "model/token.h"

#define SHARDS_MAX 32

void token_set_shard(char token[TOKEN_BYTES], unsigned shard);
unsigned token_shard(const char *token); /* SHARDS_MAX if it is no token */
