/*
 * result_cache: what runs gave, for submissions that say "cache": true and for nobody else.
 *
 * The key is the SHA-256 of all that goes into a run: the program and how it is compiled, argv, environment, limits,
 * input.  Expected output is not: a kept run is judged anew.  Kept are runs that would go the same way again
 * (result_cache_may_keep): those that ended by themselves, not those that a clock, the memory or a client ended.
 *
 * In the memory of this process; at most bytes_max, each for at most ttl_s; the least recently used leave first.
 * Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "sandbox/sandbox.h"

struct result_cache;

/* Never fails: the sizes are ours. */
struct result_cache *result_cache_open(uint64_t bytes_max, uint64_t ttl_s);
void result_cache_close(struct result_cache *cache); /* NULL is fine */

bool result_cache_may_keep(const struct run_outcome *outcome);

/* true: *ret is a copy of the outcome, which the caller ends with run_outcome_done. */
bool result_cache_get(struct result_cache *cache, const char key[HASH_HEX_BYTES], struct run_outcome *ret);
/* Keeps a copy; one that is too large is left out. */
void result_cache_put(struct result_cache *cache, const char key[HASH_HEX_BYTES], const struct run_outcome *outcome);
