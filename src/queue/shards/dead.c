/*
 * redis_shards_dead: several Redis as one store: idempotency keys, dead letters, the list of workers, what is shared.
 *
 * An add with a key must meet the earlier one, so its shard follows from the key: the one for which a hash of the key
 * and of the shard's place is the highest, dead or alive.  Where the list grows, the keys of the new shard's share are
 * forgotten, and no others; while a shard is away, adds with keys of its share are refused, as nobody can know whether
 * they are repeats.
 */
#include "queue/shards/shards.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

void shards_name_keyed(struct store *base, const char *key, char ret_token[TOKEN_BYTES])
{
    const struct shards *shards = shards_of(base);
    char best[HASH_HEX_BYTES] = "", weight[HASH_HEX_BYTES];
    unsigned chosen = 0;
    for (unsigned i = 0; i < shards->len; i++) {
        struct hash hash;
        if (shards->at[i].redis == NULL)
            continue;
        hash_start(&hash);
        hash_add(&hash, text_of(key));
        hash_add_u64(&hash, i);
        hash_finish(&hash, weight);
        if (strcmp(weight, best) > 0) {
            memcpy(best, weight, sizeof best);
            chosen = i;
        }
    }
    token_new(ret_token);
    token_set_shard(ret_token, chosen);
}

/* Every living worker beats in every living shard, so one that answers knows them all. */
int shards_workers(struct store *base, struct store_worker_view ret_views[], size_t max, size_t *ret_len,
                   struct error *err)
{
    struct shards *shards = shards_of(base);
    for (size_t i = 0; i < shards->len; i++) {
        struct redis_store *redis = shards->at[i].redis != NULL ? shard_living(shards, i, err) : NULL;
        if (redis == NULL)
            continue;
        if (redis_workers(&redis->store, ret_views, max, ret_len, err) == 0)
            return 0;
        (void)shard_failed(shards, i, err);
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

/* A page of each, of which the latest are the page of all.  All must answer: a list with a gap would not say so. */
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
        struct redis_store *redis = shard_living(shards, i, err);
        if (redis == NULL)
            return -1;
        if (redis_dead_list(&redis->store, before_ms, before_token, all + len, max, &part_len, err) < 0)
            return shard_failed(shards, i, err);
        len += part_len;
    }
    qsort(all, len, sizeof *all, compare_dead);
    *ret_len = len < max ? len : max;
    memcpy(ret_dead, all, *ret_len * sizeof *all); /* without payloads: nothing is lost with the others */
    return 0;
}

/* NULL without an error: nobody lives in that token's place. */
static int find_shard(struct shards *shards, const char *token, struct redis_store **ret, struct error *err)
{
    size_t i = token_shard(token);
    *ret = NULL;
    if (i >= shards->len || shards->at[i].redis == NULL)
        return 0;
    *ret = shard_living(shards, i, err);
    return *ret != NULL ? 0 : -1;
}

int shards_dead_get(struct store *base, const char *token, struct store_dead *ret, bool *ret_found, struct error *err)
{
    struct shards *shards = shards_of(base);
    struct redis_store *redis;
    *ret_found = false;
    if (find_shard(shards, token, &redis, err) < 0)
        return -1;
    if (redis == NULL)
        return 0;
    return redis_dead_get(&redis->store, token, ret, ret_found, err) < 0 ? shard_failed(shards, token_shard(token), err)
                                                                         : 0;
}

int shards_dead_retry(struct store *base, const char *token, bool *ret_retried, struct error *err)
{
    struct shards *shards = shards_of(base);
    struct redis_store *redis;
    *ret_retried = false;
    if (find_shard(shards, token, &redis, err) < 0)
        return -1;
    if (redis == NULL)
        return 0;
    return redis_dead_retry(&redis->store, token, ret_retried, err) < 0 ? shard_failed(shards, token_shard(token), err)
                                                                        : 0;
}

/*
 * Where a shared key lives: by its digits, or in the next place whose Redis is well.  After a shard was added or died
 * some are looked for where they are not, and made again.  A failure here is none of the shard's: a Redis that has no
 * room for such things still serves.
 */
static struct redis_store *shard_of_key(struct shards *shards, const char *key)
{
    unsigned first = 0;
    struct error ignored;
    for (size_t i = 0; i < 4 && key[i] != '\0'; i++)
        first = first * 31 + (unsigned char)key[i];
    for (size_t i = 0; i < shards->len; i++) {
        struct redis_store *redis = shard_living(shards, (first + i) % shards->len, &ignored);
        if (redis != NULL)
            return redis;
    }
    return NULL;
}

int shards_shared_get(struct store *base, const char *key, struct buf *ret, bool *ret_found, struct error *err)
{
    struct redis_store *redis = shard_of_key(shards_of(base), key);
    *ret_found = false;
    return redis == NULL ? 0 : redis_shared_get(&redis->store, key, ret, ret_found, err);
}

int shards_shared_put(struct store *base, const char *key, struct text bytes, uint64_t bytes_max, struct error *err)
{
    struct redis_store *redis = shard_of_key(shards_of(base), key);
    return redis == NULL ? 0 : redis_shared_put(&redis->store, key, bytes, bytes_max, err);
}
