/*
 * redis_shards: what shards/shards.c and shards/claim.c share; see the former for how several Redis are one store.
 */
#pragma once
#include <stdatomic.h>

#include "queue/redis/internal.h"

#define SHARDS_MAX TOKEN_SHARDS_MAX

struct shard {
    struct redis_store *redis;      /* NULL: nobody lives in this place ("-") */
    _Atomic bool is_dead;           /* calls fail at once with `why`, until the prober finds it well */
    struct error why;               /* with the lock */
    bool is_checked;                /* redis_check_server has passed; the prober's alone once it runs */
    _Atomic uint64_t full_until_ms; /* it refused a submission: others are named until then */
};

struct shards {
    struct store store; /* must come first */
    struct shard at[SHARDS_MAX];
    size_t len;
    atomic_uint name_turn, claim_turn;
    pthread_mutex_t lock;  /* why, is_closing */
    pthread_cond_t wakeup; /* one is dead, or the store closes */
    bool is_closing, has_prober;
    pthread_t prober;
};

static inline struct shards *shards_of(struct store *store)
{
    return (struct shards *)store;
}

/* The shard at i, to be asked now.  NULL and *err: it is dead, or nobody lives there. */
struct redis_store *shard_living(struct shards *shards, size_t i, struct error *err);
/* Says which shard failed; an ERROR_STORE leaves it to the prober.  Always -1. */
int shard_failed(struct shards *shards, size_t i, struct error *err);

int shards_claim(struct store *base, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                 struct store_claim ret_claims[], size_t *ret_len, struct error *err);
/* Claims that wait return, also so that they see a shard that came back. */
void shards_wake(struct store *base);

/* shards/dead.c */
void shards_name_keyed(struct store *base, const char *key, char ret_token[TOKEN_BYTES]);
int shards_workers(struct store *base, struct store_worker_view ret_views[], size_t max, size_t *ret_len,
                   struct error *err);
int shards_dead_list(struct store *base, uint64_t before_ms, const char *before_token, struct store_dead ret_dead[],
                     size_t max, size_t *ret_len, struct error *err);
int shards_dead_get(struct store *base, const char *token, struct store_dead *ret, bool *ret_found, struct error *err);
int shards_dead_retry(struct store *base, const char *token, bool *ret_retried, struct error *err);
int shards_shared_get(struct store *base, const char *key, struct buf *ret, bool *ret_found, struct error *err);
int shards_shared_put(struct store *base, const char *key, struct text bytes, uint64_t bytes_max, struct error *err);
