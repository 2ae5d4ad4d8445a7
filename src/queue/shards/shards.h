/*
 * shards: several Redis servers as one store.  Shared by the files of this folder; others include queue/stores.h.
 *
 * Theory of operation
 *
 *   Each submission is stored in one Redis server, its shard, with all of its keys; no operation needs two shards.  The
 *   token of the submission contains the number of its shard (token_shard.h).  shards_new_token chooses the shards in
 *   turn and skips those that are down or full.  So a shard that is down affects only the submissions it holds, and a
 *   list that grows at its end moves no submission: nothing is computed from the length of the list.
 *
 *   A call with a token goes to its shard, and a group is split by shard (shards.c).  Heartbeats and reaping go to all
 *   shards, depths are added up.  A claim asks the shards in turn and waits on all of them (claim.c).  Each shard gets
 *   an equal part of queue_max and of the clients' limits.  Order and priorities hold within a shard: taking turns
 *   keeps the shards even, but the oldest submission of one may be a little younger than that of another.
 *
 *   An add with an idempotency key must reach the shard of the earlier add, so the key chooses the shard: the one with
 *   the highest hash of the key and the shard's number (rendezvous hashing), whether it is up or down.  If the list
 *   grows, keys that now belong to the new shard are forgotten, and no others.  While a shard is down, adds with its
 *   keys are refused, because nobody can know whether they are repeats.
 *
 *   A shard that failed is marked as down, so that no call waits for its time-outs: calls for it fail at once with the
 *   reason.  A thread probes such shards until they work again.
 */
#pragma once
#include <stdatomic.h>

#include "queue/redis/redis_store.h"
#include "queue/shards/token_shard.h"

struct shard {
    struct redis_store *redis; /* NULL: this number is not in use ("-" in the list) */
    _Atomic bool is_down;
    struct error why;               /* with the lock; why it is down */
    bool is_checked;                /* redis_check_server has passed; written by the probe thread once that runs */
    _Atomic uint64_t full_until_ms; /* it refused an add as full; until then new tokens name other shards */
};

struct shards {
    struct store store; /* must come first */
    struct shard at[SHARDS_MAX];
    size_t len;
    atomic_uint token_turn, claim_turn;
    pthread_mutex_t lock;  /* why, is_closing */
    pthread_cond_t wakeup; /* a shard went down, or the store closes */
    bool is_closing, has_prober;
    pthread_t prober;
};

static inline struct shards *shards_of(struct store *store)
{
    return (struct shards *)store;
}

/* ---- shards.c ---- */

/* The store of shard i.  NULL with *err: it is down or not in use. */
struct redis_store *shard_up(struct shards *shards, size_t i, struct error *err);
/* The store of the next shard that is up, from *i on; *i becomes the number after it.  NULL: no more. */
struct redis_store *shard_next_up(struct shards *shards, size_t *i, struct error *err);
/* Adds the shard's name to *err, and marks the shard as down if it is an ERROR_STORE.  Always returns -1. */
int shard_failed(struct shards *shards, size_t i, struct error *err);

/* ---- claim.c ---- */

int shards_claim(struct store *base, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                 struct store_claim ret_claims[], size_t *ret_len, struct error *err);
/* Also used when a shard is up again, so that waiting claims include it. */
void shards_wake(struct store *base);

/* ---- lists.c ---- */

/* See store_workers and store_dead_list. */
int shards_workers(struct store *base, struct store_worker_view ret_views[], size_t max, size_t *ret_len,
                   struct error *err);
int shards_dead_list(struct store *base, uint64_t before_ms, const char *before_token, struct store_dead ret_dead[],
                     size_t max, size_t *ret_len, struct error *err);
extern const struct shared_cache_ops shards_shared_cache_ops;
