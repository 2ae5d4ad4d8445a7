/*
 * queue: the contract of a store, which holds submissions while they wait, while a worker runs them, and until their
 * results expire.
 *
 * SQLite serves one machine, Redis serves a fleet, and several Redis servers together serve a larger one.  Another
 * store joins by implementing `struct store_ops`.  All stores keep these promises; tests/contract checks each of them:
 *
 *   1. Durability.  What store_add has acknowledged survives a crash of any process (SQLite: also a power cut).
 *   2. One holder.  A submission is leased to one worker at a time.
 *   3. Redelivery.  When a lease expires, the submission is queued again with attempt + 1.  After attempts_max expired
 *      leases it ends as Failed with a reason and is kept as a dead letter.  So it does after returns_max returns
 *      (store_return), by workers whose host failed it.
 *   4. One result.  The first store_finish of the current attempt is kept.  A late finish of an older attempt changes
 *      nothing.  The worker that finished an attempt may repeat the call and gets the same answer.
 *   5. Depth.  store_depth counts in the store itself; its cost grows with the number of languages, not of submissions.
 *   6. Wake-up.  A waiting store_claim returns within milliseconds of an add, without polling.  One add wakes one
 *      claimer.
 *   7. Priority.  Higher priorities go first, without starvation: of every 8 claims at least one serves the lowest
 *      priority that waits.  A claimer gets submissions only from queues it asked for.
 *   8. Cancellation.  A submission cancelled while it waits never runs.  The worker of a running one learns of the
 *      cancellation through store_watch at once, or at its next heartbeat.
 *   9. Expiry.  A result and everything else stored for its submission is deleted result_ttl_s after the finish, or
 *      result_ttl_min_s after it if more than half of results_bytes (or of the client's part) was in use then.  Nothing
 *      is deleted earlier, whatever else comes.
 *  10. Bound.  When queue_max submissions wait, store_add fails with ERROR_BUSY and stores nothing.  So it does when
 *      the payloads of waiting and running ones would exceed queue_bytes, and while the results take results_bytes.
 *      Then no submission is leased either, until results expire: results_bytes is exceeded at most by what already
 *      runs.  Accepted submissions wait meanwhile, and none is lost.
 *  11. Fairness.  Clients take turns within a queue and priority: a client with few waiting submissions is served
 *      within a few claims, however many another client has.  Per-client limits on waiting and running ones and on
 *      their bytes hold.
 *  12. Idempotency.  An add with a key seen within idempotency_s returns the first submission, or a conflict if the
 *      content differs.  This also holds for concurrent adds on different connections.
 *  13. Served.  store_add_each refuses what no worker has served for unserved_s (0: it accepts everything).  A store
 *      that was opened less than unserved_s ago accepts it, and also while a worker of an older version is alive.
 *
 * Every call is thread-safe and blocks, so the HTTP thread uses queue/async_store.h instead.  If the store cannot be
 * reached, a call fails with ERROR_STORE within a few seconds; it never hangs.  Times are milliseconds since 1970 on
 * the clock of the store (Redis: TIME), so the clocks of the machines need not agree.
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

#define STORE_CLIENT_BYTES CLIENT_NAME_BYTES
/* The API client a submission belongs to.  All zero: anonymous, without limits, served in order of arrival. */
struct store_client {
    char name[STORE_CLIENT_BYTES]; /* [a-z0-9_.-] */
    uint32_t queued_max;           /* most submissions that may wait; 0: no limit */
    uint32_t running_max;          /* most that may run or be next in line; 0: no limit.  Further ones are parked. */
};

struct store_new {
    char token[TOKEN_BYTES]; /* from store_new_token */
    enum submission_priority priority;
    char queue[QUEUE_NAME_BYTES]; /* [a-z0-9_+#.@-], terminated by NUL */
    struct text payload;          /* borrowed during the call */
    struct store_client client;
    char key[HASH_HEX_BYTES];  /* hash of the client's Idempotency-Key; "" for none */
    char body[HASH_HEX_BYTES]; /* hash of the request sent with that key */
};

enum store_outcome {
    STORE_ADDED,
    STORE_REPEATED,    /* the key was used for the same request before; `token` is that of the first submission */
    STORE_CONFLICT,    /* the key was used for another request */
    STORE_CLIENT_FULL, /* the client has queued_max submissions waiting: the API answers 429 */
    STORE_CLIENT_QUEUE_BYTES,   /* its payloads would exceed client_queue_bytes: 429 */
    STORE_CLIENT_RESULTS_BYTES, /* its stored results take client_results_bytes: 429 */
    STORE_UNSERVED,             /* no worker has served the queue for unserved_s: 503 */
    STORE_FAILED,               /* not added; `err` says why */
};
struct store_added {
    enum store_outcome outcome;
    char token[TOKEN_BYTES];
    struct error err; /* STORE_FAILED only */
};

struct store_claim {
    char token[TOKEN_BYTES];
    uint32_t attempt;   /* 1 for the first lease of the submission */
    uint32_t lost;      /* leases that expired; with the last one that it may lose, it has to run alone */
    uint64_t waited_ms; /* from the add, or from its return to the queue, to this claim */
    struct buf payload; /* owned by the claim until store_claim_done */
};
void store_claim_done(struct store_claim *claim);

enum store_lease_state { LEASE_KEPT, LEASE_LOST, LEASE_CANCELLED };
/* A lease to renew. */
struct store_lease {
    char token[TOKEN_BYTES];
    uint32_t attempt;
    enum store_lease_state state; /* set by store_heartbeat; unchanged if that fails */
};

/* What a claim leaves out, although it waits: so a worker can ask for what should go before the jobs it holds. */
#define STORE_FLOWS_MAX 64u
struct store_filter {
    bool without[PRIORITY_COUNT_]; /* whole priorities */
    struct {
        char client[STORE_CLIENT_BYTES];
        enum submission_priority priority;
    } flows[STORE_FLOWS_MAX]; /* a client's submissions of one priority */
    size_t flows_len;
};
bool store_filter_passes(const struct store_filter *filter, const char *client, enum submission_priority priority);
#define STORE_LOOK_MAX 64 /* a claim with a filter examines at most so many submissions of each queue and priority */

#define STORE_WORKER_BYTES 80
#define STORE_QUEUES_BYTES_MAX 65536 /* of the names of a worker's queues together */
/* The calling worker. */
struct store_worker {
    char name[STORE_WORKER_BYTES]; /* unique among living workers: host, process id, start time */
    uint32_t slots;
    uint32_t busy_milli;               /* slots in use, in thousandths, averaged since the last heartbeat */
    uint32_t running;                  /* submissions held now */
    const char *const *queues;         /* NULL-terminated; contains QUEUE_MIXED if the worker takes mixed submissions */
    const struct store_filter *filter; /* store_claim only; NULL: takes everything.  With a filter wait_ms must be 0. */
};

struct store_view {
    bool found;
    enum submission_state state;
    bool cancelled;
    uint32_t attempt;
    char queue[QUEUE_NAME_BYTES];
    uint64_t created_ms, started_ms, finished_ms; /* 0: not yet */
    struct buf result; /* Completed: the array of results as JSON.  Failed: the reason as plain text. */
    uint64_t left_out; /* by store_get_below: the size of the result; then `result` is empty.  Otherwise 0 */
    struct error err;  /* kind ERROR_NONE unless this submission could not be read; then nothing else is set */
};
void store_view_done(struct store_view *view);

/* A worker whose last heartbeat is younger than a lease. */
struct store_worker_view {
    char name[STORE_WORKER_BYTES];
    uint32_t slots, busy_milli, running;
    uint64_t beat_ago_ms;
};
#define STORE_WORKERS_MAX 10000

/* A dead letter: a submission that lost attempts_max leases. */
struct store_dead {
    char token[TOKEN_BYTES];
    char queue[QUEUE_NAME_BYTES];
    enum submission_priority priority;
    uint32_t attempt;
    uint64_t created_ms, died_ms;
    char client[STORE_CLIENT_BYTES];
    char reason[160];
    struct buf payload; /* set by store_dead_get only */
};
void store_dead_done(struct store_dead *dead);
#define STORE_DEAD_PAGE_MAX 100

/* Called on a thread of the store when a submission has changed its state, in this process or another one. */
typedef void store_watcher(void *context, const char token[TOKEN_BYTES], enum submission_state state, bool cancelled);
/*
 * Called as early as possible when a submission has finished, for whoever waits for its result.  `view` is what
 * store_get would return; NULL: call store_get, which answers once the result is durable.  Best effort: the store may
 * leave out a finish.
 */
typedef void store_result_watcher(void *context, const char token[TOKEN_BYTES], const struct store_view *view);

/* One member for each store_* function below, which documents it. */
struct store_ops {
    void (*new_token)(struct store *, const char *key, char ret_token[TOKEN_BYTES]);
    int (*add)(struct store *, const struct store_new news[], size_t len, struct store_added ret_added[],
               struct error *);
    int (*claim)(struct store *, const struct store_worker *, size_t max, uint32_t wait_ms,
                 struct store_claim ret_claims[], size_t *ret_len, struct error *);
    int (*heartbeat)(struct store *, const struct store_worker *, struct store_lease leases[], size_t len,
                     struct error *);
    int (*finish)(struct store *, const char *worker, const char *token, uint32_t attempt, enum submission_state state,
                  struct text result, bool *ret_kept, struct error *);
    int (*release)(struct store *, const char *token, uint32_t attempt, struct error *);
    int (*give_back)(struct store *, const char *token, uint32_t attempt, const char *reason, struct error *);
    int (*cancel)(struct store *, const char *token, bool *ret_cancelled, struct error *);
    int (*get)(struct store *, const char *const tokens[], size_t len, uint64_t result_max,
               struct store_view ret_views[], struct error *);
    int (*depth)(struct store *, struct queue_depth *ret, struct error *);
    int (*reap_expired)(struct store *, struct error *);
    int (*forget_worker)(struct store *, const char *name, struct error *);
    int (*workers)(struct store *, struct store_worker_view ret_views[], size_t max, size_t *ret_len, struct error *);
    int (*dead_list)(struct store *, uint64_t before_ms, const char *before_token, struct store_dead ret_dead[],
                     size_t max, size_t *ret_len, struct error *);
    int (*dead_get)(struct store *, const char *token, struct store_dead *ret, bool *ret_found, struct error *);
    int (*dead_retry)(struct store *, const char *token, bool *ret_retried, struct error *);
    void (*wake)(struct store *);
    int (*watch)(struct store *, store_watcher *, void *context, struct error *);
    void (*watch_results)(struct store *, store_result_watcher *, void *context);
    void (*close)(struct store *);
};

struct shared_cache_ops;

struct store {
    const struct store_ops *ops;
    const char *kind;                            /* "sqlite", "redis" or "redis shards", for messages */
    const struct shared_cache_ops *shared_cache; /* NULL: none; see queue/shared_cache.h */
};

/* The configuration decides: `store`, else `redis_host`, else SQLite in DATA/evalx.db, created if it is missing. */
int store_open(const struct config *config, struct store **ret, struct error *err);

/*
 * Makes the token of a new submission.  `key` is its store_new.key: a submission with a key must get its token from
 * this call with that key, or an earlier add with the key may not be found.
 */
static inline void store_new_token(struct store *store, const char *key, char ret_token[TOKEN_BYTES])
{
    store->ops->new_token(store, key, ret_token);
}

/*
 * Adds a group of submissions and reports on each in ret_added.  A repeated key, a conflict or a client over its limit
 * concerns that entry only.  Adding the same token again is a repetition of the same add and succeeds.
 *
 * Returns -1 if none was added, for one reason (*err).  Returns 0 otherwise; then an entry with STORE_FAILED was not
 * added and has its own reason.  A store may split the group into parts that fail independently; each part is added
 * completely or not at all.
 */
static inline int store_add_each(struct store *store, const struct store_new news[], size_t len,
                                 struct store_added ret_added[], struct error *err)
{
    return store->ops->add(store, news, len, ret_added, err);
}

/* For entries without keys and queued_max.  Returns -1 if any was not added. */
static inline int store_add(struct store *store, const struct store_new news[], size_t len, struct error *err)
{
    return store->ops->add(store, news, len, NULL, err);
}

/*
 * Leases up to `max` submissions, oldest first within a priority, and waits up to wait_ms for the first one.  *ret_len
 * is 0 after that time or after store_wake.  A lease begins now and lasts config->lease_ms.  The caller ends each
 * lease with store_finish, store_release or store_return, and each claim with store_claim_done.
 */
static inline int store_claim(struct store *store, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                              struct store_claim ret_claims[], size_t *ret_len, struct error *err)
{
    return store->ops->claim(store, worker, max, wait_ms, ret_claims, ret_len, err);
}

/* Registers the worker as alive, renews its leases, and sets the state of each.  `len` may be 0. */
static inline int store_heartbeat(struct store *store, const struct store_worker *worker, struct store_lease leases[],
                                  size_t len, struct error *err)
{
    return store->ops->heartbeat(store, worker, leases, len, err);
}

/*
 * Ends a submission as COMPLETED or FAILED.  *ret_kept tells whether `worker` ended it, with this attempt.  It is false
 * if the attempt is no longer the current one or the submission was cancelled.  If the answer was lost, repeat the call
 * with the same worker and attempt: the result of the first call stays, and the answer is the same.
 */
static inline int store_finish(struct store *store, const char *worker, const char *token, uint32_t attempt,
                               enum submission_state state, struct text result, bool *ret_kept, struct error *err)
{
    return store->ops->finish(store, worker, token, attempt, state, result, ret_kept, err);
}

/* Returns a submission to the front of its queue.  Does not count as an expired lease (a worker that drains). */
static inline int store_release(struct store *store, const char *token, uint32_t attempt, struct error *err)
{
    return store->ops->release(store, token, attempt, err);
}

/* The delay after the first return; it doubles with each further one. */
#define STORE_RETURN_MS_MIN 1000u
#define STORE_RETURN_MS_MAX 60000u

/*
 * Gives back a submission that the worker's host failed to run, for no fault of the submission that is known.  It is
 * queued again after a delay, so that another worker or a host that has recovered gets it.  After returns_max returns
 * it ends as Failed with `reason`, and as a dead letter.  Its lease ends now: the worker renews it no more.
 */
static inline int store_return(struct store *store, const char *token, uint32_t attempt, const char *reason,
                               struct error *err)
{
    return store->ops->give_back(store, token, attempt, reason, err);
}

/*
 * Ends a submission as Failed with the reason "cancelled".  *ret_cancelled is false if the submission is unknown or had
 * already ended.
 */
static inline int store_cancel(struct store *store, const char *token, bool *ret_cancelled, struct error *err)
{
    return store->ops->cancel(store, token, ret_cancelled, err);
}

/*
 * Fills a view for each token; the caller ends each with store_view_done.  Returns -1 if none could be read, for one
 * reason (*err); then no view needs ending.  Returns 0 otherwise; a view that could not be read has its own `err`.
 */
static inline int store_get(struct store *store, const char *const tokens[], size_t len, struct store_view ret_views[],
                            struct error *err)
{
    return store->ops->get(store, tokens, len, UINT64_MAX, ret_views, err);
}

/* As store_get, but leaves out results of more than `result_max` bytes: see store_view.left_out. */
static inline int store_get_below(struct store *store, const char *const tokens[], size_t len, uint64_t result_max,
                                  struct store_view ret_views[], struct error *err)
{
    return store->ops->get(store, tokens, len, result_max, ret_views, err);
}

/* Queues of several versions of one language are added up. */
int store_depth(struct store *store, struct queue_depth *ret, struct error *err);

/*
 * Queues again what has lost its lease, fails what has lost too many, and deletes expired results, keys, dead letters
 * and workers.  Every worker and API server calls it about once a second.  Cheap when nothing has expired.
 */
static inline int store_reap_expired(struct store *store, struct error *err)
{
    return store->ops->reap_expired(store, err);
}

/* Removes a worker that stops from the list of workers.  It must hold no lease. */
static inline int store_forget_worker(struct store *store, const char *name, struct error *err)
{
    return store->ops->forget_worker(store, name, err);
}

/* Lists the living workers, at most `max` of them, in no particular order. */
static inline int store_workers(struct store *store, struct store_worker_view ret_views[], size_t max, size_t *ret_len,
                                struct error *err)
{
    return store->ops->workers(store, ret_views, max, ret_len, err);
}

/*
 * Lists dead letters without their payloads, latest first, from the one after (before_ms, before_token); 0 and "" for
 * the first page.  `max` is at most STORE_DEAD_PAGE_MAX; fewer than `max` letters are the last page.  The caller ends
 * each with store_dead_done.
 */
static inline int store_dead_list(struct store *store, uint64_t before_ms, const char *before_token,
                                  struct store_dead ret_dead[], size_t max, size_t *ret_len, struct error *err)
{
    return store->ops->dead_list(store, before_ms, before_token, ret_dead, max, ret_len, err);
}

/* The caller ends *ret with store_dead_done if *ret_found. */
static inline int store_dead_get(struct store *store, const char *token, struct store_dead *ret, bool *ret_found,
                                 struct error *err)
{
    return store->ops->dead_get(store, token, ret, ret_found, err);
}

/*
 * Puts a dead letter back at the end of its queue, under its token, with all of its attempts available again.  The
 * attempt number continues, because it fences off workers that held earlier attempts.  *ret_retried is true if this or
 * an earlier call retried it, false if it is no dead letter.  ERROR_BUSY: the queue is full.
 */
static inline int store_dead_retry(struct store *store, const char *token, bool *ret_retried, struct error *err)
{
    return store->ops->dead_retry(store, token, ret_retried, err);
}

/* Makes a waiting store_claim of this process return at once, so that it can stop.  Not async-signal-safe. */
static inline void store_wake(struct store *store)
{
    store->ops->wake(store);
}

/* Sets the only watcher of the store.  Called once, before claims and gets begin. */
static inline int store_watch(struct store *store, store_watcher *watcher, void *context, struct error *err)
{
    return store->ops->watch(store, watcher, context, err);
}

/* Called before store_watch, whose thread also calls this watcher. */
static inline void store_watch_results(struct store *store, store_result_watcher *watcher, void *context)
{
    store->ops->watch_results(store, watcher, context);
}

/* No other call may be running.  NULL is allowed. */
static inline void store_close(struct store *store)
{
    if (store != NULL)
        store->ops->close(store);
}
