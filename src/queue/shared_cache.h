/*
 * shared_cache: a cache of compiled programs that workers share through their store.
 *
 * It is a cache and none of the promises of queue.h apply: an entry may be gone at any time.  All entries together
 * take at most the `bytes_max` of the last put; the least recently used ones are evicted first.  Keys identify the
 * content, so a put under a known key changes nothing.  A store of one machine (SQLite) has no shared cache.
 */
#pragma once
#include "queue/queue.h"

struct shared_cache_ops {
    int (*get)(struct store *, const char *key, struct buf *ret, bool *ret_found, struct error *);
    int (*put)(struct store *, const char *key, struct text bytes, uint64_t bytes_max, struct error *);
};

static inline bool shared_cache_exists(const struct store *store)
{
    return store->shared_cache != NULL;
}

/* Appends the bytes to *ret if *ret_found. */
static inline int shared_cache_get(struct store *store, const char *key, struct buf *ret, bool *ret_found,
                                   struct error *err)
{
    return store->shared_cache->get(store, key, ret, ret_found, err);
}

static inline int shared_cache_put(struct store *store, const char *key, struct text bytes, uint64_t bytes_max,
                                   struct error *err)
{
    return store->shared_cache->put(store, key, bytes, bytes_max, err);
}
