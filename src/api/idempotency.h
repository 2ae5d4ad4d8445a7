/*
 * idempotency: the Idempotency-Key of a POST.  The store compares keys and bodies as hashes and decides whether a
 * request is new, a repetition or a conflict.
 */
#pragma once
#include "base/hash.h"
#include "codec/request_json.h"
#include "http/exchange.h"

/* The hash of the key and the client's name, so that clients cannot meet each other's keys; "" without the header. */
int idempotency_read_key(const struct exchange *exchange, char ret_key[HASH_HEX_BYTES], struct error *err);
/* The hash of everything that makes two requests equal. */
void idempotency_hash_body(const struct exchange *exchange, enum request_kind kind, bool fresh,
                           char ret_body[HASH_HEX_BYTES]);
