/* token_shard: see the header. */
#include "queue/shards/token_shard.h"

#include <assert.h>
#include <string.h>

void token_set_shard(char token[TOKEN_BYTES], unsigned shard)
{
    assert(shard < SHARDS_MAX);
    token[TOKEN_LEN - 1] = token_alphabet[shard];
}

unsigned token_shard(const char *token)
{
    if (strnlen(token, TOKEN_BYTES) != TOKEN_LEN)
        return SHARDS_MAX;
    const char *at = strchr(token_alphabet, token[TOKEN_LEN - 1]);
    return at != NULL ? (unsigned)(at - token_alphabet) : SHARDS_MAX;
}
