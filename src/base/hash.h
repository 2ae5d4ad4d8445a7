/* hash: SHA-256 by nettle, fed piece by piece; names artifacts in the cache. */
#pragma once
#include <nettle/sha2.h>

#include "base/text.h"

#define HASH_HEX_BYTES (2 * SHA256_DIGEST_SIZE + 1)

struct hash {
    struct sha256_ctx sha;
};

void hash_start(struct hash *hash);
/* Adds the length, then the bytes, so that ("ab","c") and ("a","bc") differ. */
void hash_add(struct hash *hash, struct text text);
void hash_add_u64(struct hash *hash, uint64_t value);
void hash_finish(struct hash *hash, char ret_hex[HASH_HEX_BYTES]);
