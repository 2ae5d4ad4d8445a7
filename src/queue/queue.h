/*
 * store: where submissions wait, are worked on, and leave their results.
 *
 * Two stores keep the same promises: Redis for a fleet, SQLite for one machine; a third may join by
 * filling store_ops.  tests/contract/ checks them against each:
 *
 *   1. What store_add has acknowledged survives a crash of any process (SQLite: also a power cut).
 *   2. A submission is handed to one worker at a time, for as long as its lease.
 *   3. When a lease runs out it is handed out again with attempt + 1; when attempts_max leases have run
 *      out it ends as Failed with a reason, and stays in the dead-letter list.
 *   4. The first store_finish of the current attempt is kept; a late one by an old attempt changes nothing.
 *   5. Depths come from the store itself, at a cost that grows with the languages, not the submissions.
 *   6. store_claim wakes within milliseconds of an add, without polling; one add wakes one claimer.
 *   7. Priorities are kept, without starvation: of every 8 claims at least one serves the lowest
 *      priority that waits.  A claimer gets only lanes it asked for.
 *   8. A cancelled submission that waits never runs; one that runs is told at its next heartbeat, or at once
 *      through store_watch.
 *   9. Results vanish result_ttl_s after the finish, with every trace.
 *  10. Beyond queue_max waiting submissions store_add refuses with ERROR_BUSY and keeps nothing of them.
 *  11. Clients take turns within a lane and priority: whoever has few waiting is served among the next few claims,
 *      however many another has.  A client's limits of waiting and of running submissions hold.
 *  12. An add with a key, repeated within idempotency_s, is the first one again, or a conflict where it asks for
 *      something else; also at the same time, and on other connections.
 *
 * Every call may be made from any thread at any time and blocks; none may be made on the HTTP thread
 * (see queue/async_store.h).  An unreachable store is ERROR_STORE within a few seconds, never a hang.
 * Times are the store's own clock in milliseconds since 1970 (Redis: TIME), so that machines need not agree.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/hash.h"
#include "model/queue_depth.h"
#include "model/submission.h"
#include "model/token.h"

struct config;
struct store;

#define STORE_CLIENT_BYTES 33
/* On whose behalf.  All zero is nobody in particular: one client without limits, served in the order of arrival. */
struct store_client {
    char name[STORE_CLIENT_BYTES]; /* [a-z0-9_.-] */
    uint32_t queued_max;           /* waiting, at most; 0: no limit */
    uint32_t running_max;          /* running or next in line, at most; 0: no limit.  The rest waits aside. */
};

struct store_new {
    char token[TOKEN_BYTES];
    enum submission_priority priority;
    char queue[32];      /* NUL-terminated, [a-z0-9_+#.-] */
    struct text payload; /* borrowed for the call */
    struct store_client client;
    char key[HASH_HEX_BYTES];  /* of the client's Idempotency-Key; "" for none */
    char body[HASH_HEX_BYTES]; /* of what was asked for under that key */
};

/* What became of one of several adds. */
enum store_outcome {
    STORE_ADDED,
    STORE_REPEATED,    /* the key was used for the same before; `token` is the first one's */
    STORE_CONFLICT,    /* the key was used for something else */
    STORE_CLIENT_FULL, /* the client has queued_max waiting */
};
struct store_added {
    enum store_outcome outcome;
    char token[TOKEN_BYTES];
};

struct store_claim {
    char token[TOKEN_BYTES];
    uint32_t attempt;   /* 1 for the first time it is handed out */
    uint64_t waited_ms; /* from add (or hand-back) to this claim */
    struct buf payload; /* owned by the claim until store_claim_done */
};
void store_claim_done(struct store_claim *claim);

/* One held lease, as a heartbeat names it and is answered. */
enum store_lease_state { LEASE_KEPT, LEASE_LOST, LEASE_CANCELLED };
struct store_lease {
    char token[TOKEN_BYTES];
    uint32_t attempt;
    enum store_lease_state state; /* set by store_heartbeat; after an error unchanged */
};

/* Who asks; `name` is unique among living workers (host, process id, start time). */
struct store_worker {
    char name[80];
    uint32_t slots;
    uint32_t busy_milli;       /* thousandths of slots that had work since its last heartbeat, on average */
    uint32_t running;          /* submissions held now */
    const char *const *queues; /* NULL-terminated; QUEUE_MIXED among them if it takes those */
};

struct store_view {
    bool found;
    enum submission_state state;
    bool cancelled;
    uint32_t attempt;
    char queue[32];
    uint64_t created_ms, started_ms, finished_ms; /* 0: not yet */
    struct buf result; /* Completed: the results array as JSON text.  Failed: the reason, plain text */
};
void store_view_done(struct store_view *view);

/* A worker whose heartbeat is not older than a lease. */
struct store_worker_view {
    char name[80];
    uint32_t slots, busy_milli, running;
    uint64_t beat_ago_ms;
};
#define STORE_WORKERS_MAX 10000

/* A submission that was given up: it lost too many leases. */
struct store_dead {
    char token[TOKEN_BYTES];
    char queue[32];
    enum submission_priority priority;
    uint32_t attempt;
    uint64_t created_ms, died_ms;
    char client[STORE_CLIENT_BYTES];
    char reason[160];
    struct buf payload; /* store_dead_get only */
};
void store_dead_done(struct store_dead *dead);
#define STORE_DEAD_PAGE_MAX 100

/* Called from a thread of the store, whenever it learns that a submission changed its state, in whatever process. */
typedef void store_watcher(void *context, const char token[TOKEN_BYTES], enum submission_state state, bool cancelled);
/* A finish, told as early as possible for the sake of who is waiting for its result.  `end` is what store_get would
 * give; NULL: ask it, and it answers as soon as the result may be shown.  Not every finish is told here. */
typedef void store_end_watcher(void *context, const char token[TOKEN_BYTES], const struct store_view *end);

struct store_ops {
    int (*add)(struct store *, const struct store_new news[], size_t len, struct store_added ret_added[],
               struct error *);
    int (*claim)(struct store *, const struct store_worker *, size_t max, uint32_t wait_ms,
                 struct store_claim ret_claims[], size_t *ret_len, struct error *);
    int (*heartbeat)(struct store *, const struct store_worker *, struct store_lease leases[], size_t len,
                     struct error *);
    int (*finish)(struct store *, const char *token, uint32_t attempt, enum submission_state state, struct text result,
                  bool *ret_kept, struct error *);
    int (*release)(struct store *, const char *token, uint32_t attempt, struct error *);
    int (*cancel)(struct store *, const char *token, bool *ret_cancelled, struct error *);
    int (*get)(struct store *, const char *const tokens[], size_t len, struct store_view ret_views[], struct error *);
    int (*depth)(struct store *, struct queue_depth *ret, struct error *);
    int (*sweep)(struct store *, struct error *);
    int (*forget_worker)(struct store *, const char *name, struct error *);
    int (*workers)(struct store *, struct store_worker_view ret_views[], size_t max, size_t *ret_len, struct error *);
    int (*dead_list)(struct store *, uint64_t before_ms, const char *before_token, struct store_dead ret_dead[],
                     size_t max, size_t *ret_len, struct error *);
    int (*dead_get)(struct store *, const char *token, struct store_dead *ret, bool *ret_found, struct error *);
    int (*dead_retry)(struct store *, const char *token, bool *ret_retried, struct error *);
    /* NULL: there is nobody to share with. */
    int (*shared_get)(struct store *, const char *key, struct buf *ret, bool *ret_found, struct error *);
    int (*shared_put)(struct store *, const char *key, struct text bytes, uint64_t bytes_max, struct error *);
    void (*wake)(struct store *);
    int (*watch)(struct store *, store_watcher *, void *context, struct error *);
    void (*watch_ends)(struct store *, store_end_watcher *, void *context);
    void (*close)(struct store *);
    /* Of a store in several places; NULL: there is one. */
    void (*name)(struct store *, char ret_token[TOKEN_BYTES]);
    void (*name_keyed)(struct store *, const char *key, char ret_token[TOKEN_BYTES]); /* NULL: as name */
    unsigned (*place)(struct store *, const char *token);
};

struct store {
    const struct store_ops *ops;
    const char *kind; /* "sqlite", "redis" or "redis shards" */
};

/* Chooses by config: store, else redis_host, else SQLite at DATA/evalx.db (made with its folder if missing). */
int store_open(const struct config *config, struct store **ret, struct error *err);

/* A token for store_add.  Where the store has several places, it names one that is there now. */
static inline void store_name(struct store *store, char ret_token[TOKEN_BYTES])
{
    if (store->ops->name != NULL)
        store->ops->name(store, ret_token);
    else
        token_new(ret_token);
}

/* The place of a token; calls for tokens of one place fail or succeed together, whatever becomes of the others. */
static inline unsigned store_shard(struct store *store, const char *token)
{
    return store->ops->place != NULL ? store->ops->place(store, token) : 0;
}

/* The same for an add with that key (store_new.key), which must find what was added with it before. */
static inline void store_name_keyed(struct store *store, const char *key, char ret_token[TOKEN_BYTES])
{
    if (store->ops->name_keyed != NULL)
        store->ops->name_keyed(store, key, ret_token);
    else
        store_name(store, ret_token);
}

/*
 * All or nothing: either every one is kept durably, or none is and *err says why (in each place of its own).  But for
 * those that ret_added says something else of: a repeat, a conflict and a client's own limit are that one's, and no
 * failure of the others.
 */
static inline int store_add_each(struct store *store, const struct store_new news[], size_t len,
                                 struct store_added ret_added[], struct error *err)
{
    return store->ops->add(store, news, len, ret_added, err);
}

/* The same where nothing of that can be: no keys, no limits of clients. */
static inline int store_add(struct store *store, const struct store_new news[], size_t len, struct error *err)
{
    return store->ops->add(store, news, len, NULL, err);
}

/*
 * Up to `max` submissions, oldest first within a priority; waits up to wait_ms for the first.  *ret_len 0 is a
 * time-out or store_wake.  Each claim's lease begins now and lasts config->lease_ms.  The caller ends each with
 * finish or release, and store_claim_done.
 */
static inline int store_claim(struct store *store, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                              struct store_claim ret_claims[], size_t *ret_len, struct error *err)
{
    return store->ops->claim(store, worker, max, wait_ms, ret_claims, ret_len, err);
}

/* Says the worker lives, renews its leases, and answers for each whether it is still its own. len may be 0. */
static inline int store_heartbeat(struct store *store, const struct store_worker *worker, struct store_lease leases[],
                                  size_t len, struct error *err)
{
    return store->ops->heartbeat(store, worker, leases, len, err);
}

/* `state` is COMPLETED or FAILED.  *ret_kept is false where the attempt is not the current one or it has ended. */
static inline int store_finish(struct store *store, const char *token, uint32_t attempt, enum submission_state state,
                               struct text result, bool *ret_kept, struct error *err)
{
    return store->ops->finish(store, token, attempt, state, result, ret_kept, err);
}

/* Back to the front of its queue, without counting the attempt as failed (a worker that drains). */
static inline int store_release(struct store *store, const char *token, uint32_t attempt, struct error *err)
{
    return store->ops->release(store, token, attempt, err);
}

/* *ret_cancelled is false where it is unknown or has ended. It ends as Failed, reason "cancelled". */
static inline int store_cancel(struct store *store, const char *token, bool *ret_cancelled, struct error *err)
{
    return store->ops->cancel(store, token, ret_cancelled, err);
}

/* Fills a view for each token; the caller ends each with store_view_done.  On error none needs it. */
static inline int store_get(struct store *store, const char *const tokens[], size_t len, struct store_view ret_views[],
                            struct error *err)
{
    return store->ops->get(store, tokens, len, ret_views, err);
}

static inline int store_depth(struct store *store, struct queue_depth *ret, struct error *err)
{
    return store->ops->depth(store, ret, err);
}

/* Hands out again what has lost its lease, fails what has lost too many, forgets old results and dead workers.
 * Cheap when there is nothing to do; every worker and API server calls it about once a second. */
static inline int store_reap_expired(struct store *store, struct error *err)
{
    return store->ops->sweep(store, err);
}

/* A worker that stops says so, and is no longer counted.  Its leases must have ended. */
static inline int store_forget_worker(struct store *store, const char *name, struct error *err)
{
    return store->ops->forget_worker(store, name, err);
}

/* In no order; at most `max`, beyond which they are left out. */
static inline int store_workers(struct store *store, struct store_worker_view ret_views[], size_t max, size_t *ret_len,
                                struct error *err)
{
    return store->ops->workers(store, ret_views, max, ret_len, err);
}

/* Latest first, without payloads: those that died before (before_ms, before_token), in that order; 0 and "" are the
 * first page.  `max` at most STORE_DEAD_PAGE_MAX; fewer than `max` is the end.  Each is ended with store_dead_done. */
static inline int store_dead_list(struct store *store, uint64_t before_ms, const char *before_token,
                                  struct store_dead ret_dead[], size_t max, size_t *ret_len, struct error *err)
{
    return store->ops->dead_list(store, before_ms, before_token, ret_dead, max, ret_len, err);
}

/* The caller ends it with store_dead_done where it was found. */
static inline int store_dead_get(struct store *store, const char *token, struct store_dead *ret, bool *ret_found,
                                 struct error *err)
{
    return store->ops->dead_get(store, token, ret, ret_found, err);
}

/*
 * Back into its queue, at its end, under its token, with all its attempts before it again.  The number of the attempt
 * goes on, as it is the fence against workers that were given up.  Repeated, nothing more happens and *ret_retried is
 * true as well; false: it is not among the dead.  ERROR_BUSY: the queue is full.
 */
static inline int store_dead_retry(struct store *store, const char *token, bool *ret_retried, struct error *err)
{
    return store->ops->dead_retry(store, token, ret_retried, err);
}

/*
 * What workers keep for each other (compiled programs), by a key that says what it is made of.  No promise: it may be
 * gone at any time, and a store of one machine has none of it.  All together take at most `bytes_max`, as the last put
 * said; those used longest ago leave first.  Bytes are appended to *ret.
 */
static inline bool store_shares(const struct store *store)
{
    return store->ops->shared_get != NULL;
}

static inline int store_shared_get(struct store *store, const char *key, struct buf *ret, bool *ret_found,
                                   struct error *err)
{
    return store->ops->shared_get(store, key, ret, ret_found, err);
}

static inline int store_shared_put(struct store *store, const char *key, struct text bytes, uint64_t bytes_max,
                                   struct error *err)
{
    return store->ops->shared_put(store, key, bytes, bytes_max, err);
}

/* Makes a waiting store_claim of this process return at once (to stop); async-signal-safe it is not. */
static inline void store_wake(struct store *store)
{
    store->ops->wake(store);
}

/* One watcher a store; called once, before claims and gets begin. */
static inline int store_watch(struct store *store, store_watcher *watcher, void *context, struct error *err)
{
    return store->ops->watch(store, watcher, context, err);
}

/* Before store_watch, whose thread tells it. */
static inline void store_watch_ends(struct store *store, store_end_watcher *watcher, void *context)
{
    store->ops->watch_ends(store, watcher, context);
}

/* No other call may be running.  NULL is fine. */
static inline void store_close(struct store *store)
{
    if (store != NULL)
        store->ops->close(store);
}
