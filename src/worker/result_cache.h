/*
 * result_cache: outcomes of earlier runs, for submissions that set "cache": true and for no others.
 *
 * The key is the SHA-256 of everything that determines a run: the program and how it is compiled, argv, environment,
 * limits, network, input (cache_key.h).  The expected output is not part of it, because a cached outcome is judged
 * anew.  Only outcomes that would be the same again are kept (result_cache_may_keep).
 *
 * In the memory of this process.  At most bytes_max in total, each entry for at most ttl_s; the least recently used
 * entries are dropped first.  Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "sandbox/sandbox.h"

struct result_cache;

/* Never fails, because its size is fixed. */
struct result_cache *result_cache_open(uint64_t bytes_max, uint64_t ttl_s);
void result_cache_close(struct result_cache *cache); /* NULL is fine */

/* False for a run that was ended by a time limit, the memory limit, a cancel or another outside cause. */
bool result_cache_may_keep(const struct run_outcome *outcome);

/* True: *ret is a copy of the outcome, which the caller frees with run_outcome_done. */
bool result_cache_get(struct result_cache *cache, const char key[HASH_HEX_BYTES], struct run_outcome *ret);
/* Keeps a copy, unless it is too large. */
void result_cache_put(struct result_cache *cache, const char key[HASH_HEX_BYTES], const struct run_outcome *outcome);
