/* hash: SHA-256 by nettle. */
#include "base/hash.h"

#include <stdint.h>

void hash_start(struct hash *hash)
{
    sha256_init(&hash->sha);
}

void hash_add(struct hash *hash, struct text text)
{
    hash_add_u64(hash, text.len);
    if (text.len > 0)
        sha256_update(&hash->sha, text.len, (const uint8_t *)text.at);
}

void hash_add_u64(struct hash *hash, uint64_t value)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(value >> (8 * i)); /* the same on every machine: hashes are shared */
    sha256_update(&hash->sha, sizeof bytes, bytes);
}

void hash_finish(struct hash *hash, char ret_hex[HASH_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[SHA256_DIGEST_SIZE];

    sha256_digest(&hash->sha, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        ret_hex[2 * i] = digits[digest[i] >> 4];
        ret_hex[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_hex[2 * sizeof digest] = '\0';
}
