/*
 * redis_internal: what the redis_*.c files share; nobody else includes it.
 *
 * Theory of operation
 *
 *   Every step is one Lua script (scripts/), so it is atomic, whoever dies between two of them.  Not streams with
 *   consumer groups: XREADGROUP's COUNT is for each stream, so a claim over three priorities and thirty lanes would
 *   take far more than it has slots for; and turns, cancelling, the cap and the fence are atomic steps anyway.
 *   docs/design/STORE.md lists the keys.
 *
 *   - redis/connection.c, redis/address.c, redis/resolver.c, redis/tls.c: one connection.
 *   - redis/pool.c: connections for calls, back-off while Redis is away, scripts by EVALSHA.
 *   - redis/calls.c: every call but a claim; one script each, repeated once where the connection broke.
 *   - redis/dead.c: dead letters, the list of workers.
 *   - redis/shared.c: what workers keep for each other.
 *   - redis/claim.c: claims, and waiting for one (BLPOP on the lanes' bells).
 *   - redis/watch.c: the subscriber thread.
 *   - redis/store.c: opening and closing.
 *   - shards/shards.c, shards/claim.c: a store over several of these.
 *
 * A script may be sent twice (its answer was lost with the connection), so each gives the same answer to the same
 * call: add finds the token there, finish and cancel carry a name of the call, a claim the number of the question.
 */
#pragma once
#include <pthread.h>

#include "config/config.h"
#include "queue/queue.h"
#include "queue/redis/connection.h"
#include "queue/shared_cache.h"
#include "queue/stores.h"
#include "redis_scripts.h" /* made by meson from scripts/ */

#define REDIS_CALL_MS 2500 /* one answer; with a connect before it still under 5 s */
#define REDIS_IDLE_MAX 16
#define REDIS_DEAD_MAX 1000                         /* dead letters kept, at most */
#define REDIS_DEAD_MS_MAX (7ull * 24 * 3600 * 1000) /* and for how long */

struct redis_pool {
    struct redis_address address;
    pthread_mutex_t lock;
    struct redis_connection *idle[REDIS_IDLE_MAX];
    size_t idle_len;
    uint64_t retry_at_ms; /* no connect before this */
    uint64_t back_off_ms; /* 0: the last connect worked */
    struct error away;    /* why the last connect failed */
};

/* Asks for claims, one question at a time; its name is in the store, so it outlives its connection. */
struct redis_claim_conn {
    char name[TOKEN_BYTES];
    uint64_t number;                     /* of its question */
    bool is_unanswered;                  /* the last question may have been answered without us hearing it */
    struct redis_connection *connection; /* NULL: to be connected */
    int wake_fd;                         /* eventfd; readable: stop waiting */
    struct redis_claim_conn *next;       /* in `idle` or `waiting` */
};

struct redis_store {
    struct store store;                   /* must come first */
    char prefix[CONFIG_STRING_BYTES + 4]; /* "{evalx}:" */
    uint64_t queue_max, lease_ms, attempts_max, result_ttl_ms, idempotency_ms;
    struct redis_trust *trust; /* NULL: no TLS */
    struct redis_resolver *resolver;
    struct redis_pool pool;

    pthread_mutex_t claim_conns_lock;
    struct redis_claim_conn *idle, *waiting;
    bool wake_is_pending;

    pthread_t watch_thread;
    store_watcher *watcher; /* NULL: nobody watches */
    void *watcher_context;
    store_result_watcher *result_watcher; /* NULL: nobody */
    void *result_context;
    int watch_stop_fd; /* eventfd */
};

static inline struct redis_store *redis_of(struct store *store)
{
    return (struct redis_store *)store;
}

/* ---- redis/pool.c ---- */

void redis_pool_init(struct redis_pool *pool, const struct redis_address *address);
void redis_pool_done(struct redis_pool *pool);
/* An idle connection, else a new one.  While Redis is away one caller in a while tries; the others fail at once. */
int redis_pool_take(struct redis_pool *pool, struct redis_connection **ret, struct error *err);
void redis_pool_give(struct redis_pool *pool, struct redis_connection *connection);
/* A new connection, with the same back-off, for one who keeps it. */
int redis_pool_connect(struct redis_pool *pool, struct redis_connection **ret, struct error *err);
void redis_pool_drop(struct redis_pool *pool,
                     struct redis_connection *connection); /* it broke: so have the idle ones, likely */

/* Somewhere between half of it and all, so that a fleet does not act in step. */
uint64_t redis_spread(uint64_t ms);

/* Arguments of a script.  Strings are borrowed, numbers are kept. */
struct redis_args {
    const char **at;
    size_t *lens;
    char (*numbers)[24];
    size_t len, cap;
};
#define auto_args __attribute__((cleanup(redis_args_done)))
int redis_args_init(struct redis_args *args, const struct redis_store *store, enum redis_script script, size_t cap,
                    struct error *err);
void redis_args_done(struct redis_args *args);
void redis_args_add(struct redis_args *args, struct text text);
void redis_args_add_number(struct redis_args *args, uint64_t number);

/* The script on this connection.  0: *ret is its answer.  -1: *ret_broke tells whether to repeat it on another one. */
int redis_eval(struct redis_connection *connection, enum redis_script script, struct redis_args *args, redisReply **ret,
               bool *ret_broke, struct error *err);
/* On any connection, repeated once where it broke. `type` is what the answer must be. */
int redis_call(struct redis_store *store, enum redis_script script, struct redis_args *args, int type, redisReply **ret,
               struct error *err);
int redis_bad_reply(enum redis_script script, struct error *err); /* -1 */

static inline void redis_reply_done(redisReply **reply)
{
    if (*reply != NULL)
        freeReplyObject(*reply);
}
#define auto_reply __attribute__((cleanup(redis_reply_done)))

static inline uint64_t redis_number(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_INTEGER && reply->integer > 0 ? (uint64_t)reply->integer : 0;
}

static inline struct text redis_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? (struct text){ reply->str, (size_t)reply->len } : (struct text){ 0 };
}

/* ---- redis/calls.c ---- */

int redis_add(struct store *base, const struct store_new news[], size_t len, struct store_added ret_added[],
              struct error *err);
int redis_heartbeat(struct store *base, const struct store_worker *worker, struct store_lease leases[], size_t len,
                    struct error *err);
int redis_finish(struct store *base, const char *worker, const char *token, uint32_t attempt,
                 enum submission_state state, struct text result, bool *ret_kept, struct error *err);
int redis_release(struct store *base, const char *token, uint32_t attempt, struct error *err);
int redis_cancel(struct store *base, const char *token, bool *ret_cancelled, struct error *err);
int redis_get(struct store *base, const char *const tokens[], size_t len, struct store_view ret_views[],
              struct error *err);
int redis_depth(struct store *base, struct queue_depth *ret, struct error *err);
int redis_reap_expired(struct store *base, struct error *err);
int redis_forget_worker(struct store *base, const char *name, struct error *err);

/* ---- redis/store.c ---- */

/* Opens without connecting. */
int redis_store_new(const struct config *config, const char *url, struct redis_store **ret, struct error *err);
/* Refuses a server that cannot keep the promises (ERROR_SETUP).  One that hides INFO from our user is taken at its
 * word. */
int redis_check_server(struct redis_store *store, struct error *err);

/* ---- redis/dead.c: as store.h says of each ---- */

/* Those whose heartbeat is not older than a lease. */
int redis_workers(struct store *base, struct store_worker_view ret_views[], size_t max, size_t *ret_len,
                  struct error *err);
int redis_dead_list(struct store *base, uint64_t before_ms, const char *before_token, struct store_dead ret_dead[],
                    size_t max, size_t *ret_len, struct error *err);
int redis_dead_get(struct store *base, const char *token, struct store_dead *ret, bool *ret_found, struct error *err);
int redis_dead_retry(struct store *base, const char *token, bool *ret_retried, struct error *err);

/* ---- redis/shared.c ---- */

/* As store.h says of each. */
int redis_cache_get(struct store *base, const char *key, struct buf *ret, bool *ret_found, struct error *err);
int redis_cache_put(struct store *base, const char *key, struct text bytes, uint64_t bytes_max, struct error *err);

/* ---- redis/claim.c ---- */

int redis_claim(struct store *base, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                struct store_claim ret_claims[], size_t *ret_len, struct error *err);
void redis_wake(struct store *base);
void redis_claim_conns_done(struct redis_store *store);

/* The steps of a claim, for one that asks several stores (shards/claim.c). */
struct redis_claim_request {
    const struct store_worker *worker;
    size_t queues_len, max;
    struct store_claim *ret_claims;
    char woken_queue[32]; /* the lane whose bell was taken, or "" */
};
enum redis_block_result { BLOCK_WAKEUP, BLOCK_TIMEOUT, BLOCK_INTERRUPTED, BLOCK_FAILED };

int redis_claim_conn_take(struct redis_store *store, struct redis_claim_conn **ret, struct error *err);
void redis_claim_conn_give(struct redis_store *store, struct redis_claim_conn *conn);
/* Asks without waiting, on its connection, made if it has none.  With max 0 it only puts back the bell it took. */
int redis_claim_now(struct redis_store *store, struct redis_claim_conn *conn, const struct redis_claim_request *request,
                    size_t *ret_len, struct error *err);
/* Sends the wait; its answer is for redis_claim_read_blpop: BLOCK_WAKEUP (and question->rung), BLOCK_TIMEOUT or BLOCK_FAILED. */
int redis_claim_send_blpop(struct redis_store *store, struct redis_claim_conn *conn,
                           const struct redis_claim_request *request, uint64_t slice_ms, struct error *err);
enum redis_block_result redis_claim_read_blpop(const struct redis_store *store, const redisReply *reply,
                                               struct redis_claim_request *request, struct error *err);
/* Between the two redis_wake makes asker->wake_fd readable.  False: it came just before, and nobody is to wait. */
bool redis_claim_wait_begin(struct redis_store *store, struct redis_claim_conn *conn);
void redis_claim_wait_end(struct redis_store *store, struct redis_claim_conn *conn);

/* ---- redis/watch.c ---- */

int redis_watch(struct store *base, store_watcher *watcher, void *context, struct error *err);
void redis_watch_results(struct store *base, store_result_watcher *watcher, void *context);
void redis_watch_stop(struct redis_store *store);
