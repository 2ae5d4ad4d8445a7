/* shards/lists: the lists that are merged from several shards, and the shared cache. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "queue/shards/shards.h"

/* Every worker sends its heartbeats to every shard, so any one shard knows all workers. */
int shards_workers(struct store *base, struct store_worker_view ret_views[], size_t max, size_t *ret_len,
                   struct error *err)
{
    struct shards *shards = shards_of(base);
    struct redis_store *redis;
    for (size_t next = 0; (redis = shard_next_up(shards, &next, err)) != NULL;) {
        if (redis_workers(&redis->store, ret_views, max, ret_len, err) == 0)
            return 0;
        (void)shard_failed(shards, next - 1, err);
    }
    return -1;
}

/* Latest first. */
static int compare_dead(const void *a, const void *b)
{
    const struct store_dead *one = a, *two = b;
    if (one->died_ms != two->died_ms)
        return one->died_ms < two->died_ms ? 1 : -1;
    return strcmp(two->token, one->token);
}

/* Reads one page of each shard and returns the latest.  Fails if a shard is down: a gap would go unnoticed. */
int shards_dead_list(struct store *base, uint64_t before_ms, const char *before_token, struct store_dead ret_dead[],
                     size_t max, size_t *ret_len, struct error *err)
{
    struct shards *shards = shards_of(base);
    auto_free struct store_dead *all = calloc(shards->len * max + 1, sizeof *all);
    size_t len = 0;
    if (all == NULL)
        return error_set(err, ERROR_STORE, ENOMEM, "list dead letters");
    for (size_t i = 0; i < shards->len; i++) {
        size_t part_len = 0;
        if (shards->at[i].redis == NULL)
            continue;
        struct redis_store *redis = shard_up(shards, i, err);
        if (redis == NULL)
            return -1;
        if (redis_dead_list(&redis->store, before_ms, before_token, all + len, max, &part_len, err) < 0)
            return shard_failed(shards, i, err);
        len += part_len;
    }
    qsort(all, len, sizeof *all, compare_dead);
    *ret_len = len < max ? len : max;
    memcpy(ret_dead, all, *ret_len * sizeof *all); /* the others have no payload to free */
    return 0;
}

/*
 * The key chooses the shard; if that one is down, the next one that is up.  After a shard was added or went down, some
 * entries are looked for in the wrong shard and compiled again.  A failure does not mark the shard as down: a Redis
 * without room for the cache still serves the queue.
 */
static struct redis_store *shard_of_key(struct shards *shards, const char *key)
{
    unsigned first = 0;
    struct error ignored;
    for (size_t i = 0; i < 4 && key[i] != '\0'; i++)
        first = first * 31 + (unsigned char)key[i];
    for (size_t i = 0; i < shards->len; i++) {
        struct redis_store *redis = shard_up(shards, (first + i) % shards->len, &ignored);
        if (redis != NULL)
            return redis;
    }
    return NULL;
}

static int shards_cache_get(struct store *base, const char *key, struct buf *ret, bool *ret_found, struct error *err)
{
    struct redis_store *redis = shard_of_key(shards_of(base), key);
    *ret_found = false;
    return redis == NULL ? 0 : redis_cache_get(&redis->store, key, ret, ret_found, err);
}

static int shards_cache_put(struct store *base, const char *key, struct text bytes, uint64_t bytes_max,
                            struct error *err)
{
    struct redis_store *redis = shard_of_key(shards_of(base), key);
    return redis == NULL ? 0 : redis_cache_put(&redis->store, key, bytes, bytes_max, err);
}

const struct shared_cache_ops shards_shared_cache_ops = { .get = shards_cache_get, .put = shards_cache_put };
