/* hash: SHA-256 over a sequence of texts and numbers. */
#pragma once
#include <nettle/sha2.h>

#include "base/text.h"

#define HASH_HEX_BYTES (2 * SHA256_DIGEST_SIZE + 1)

struct hash {
    struct sha256_ctx sha;
};

void hash_start(struct hash *hash);
/* Adds the length and then the bytes, so that ("ab","c") and ("a","bc") differ. */
void hash_add(struct hash *hash, struct text text);
void hash_add_u64(struct hash *hash, uint64_t value);
void hash_finish(struct hash *hash, char ret_hex[HASH_HEX_BYTES]);
