/*
 * idempotency: reads and hashes.
 */
#include "api/idempotency.h"

#include "api/api_keys.h"

#define KEY_BYTES_MAX 255

int idempotency_read_key(const struct exchange *exchange, char ret_key[HASH_HEX_BYTES], struct error *err)
{
    const struct api_client *client = exchange_client(exchange);
    struct hash hash;
    struct text key;

    ret_key[0] = '\0';
    if (!exchange_header(exchange, "Idempotency-Key", &key))
        return 0;
    bool is_valid = key.len >= 1 && key.len <= KEY_BYTES_MAX;
    for (size_t i = 0; i < key.len && is_valid; i++)
        is_valid = key.at[i] >= 0x20 && key.at[i] <= 0x7e;
    if (!is_valid)
        return error_field(err, "Idempotency-Key", "expected 1 to %d printable ASCII characters", KEY_BYTES_MAX);
    hash_start(&hash);
    hash_add(&hash, text_of(client != NULL ? client->store.name : ""));
    hash_add(&hash, key);
    hash_finish(&hash, ret_key);
    return 0;
}

void idempotency_hash_body(const struct exchange *exchange, enum request_kind kind, bool fresh,
                           char ret_body[HASH_HEX_BYTES])
{
    struct hash hash;

    hash_start(&hash);
    hash_add_u64(&hash, kind + (fresh ? 16u : 0u));
    hash_add(&hash, exchange_body(exchange));
    hash_finish(&hash, ret_body);
}
