/*
 * redis_store: the store of a fleet, on one Redis server.  Shared by the files of this folder and of queue/shards;
 * others include queue/stores.h.
 *
 * Theory of operation
 *
 *   Every operation is one Lua script (scripts/), so it is atomic whatever process dies between two of them.  Streams
 *   with consumer groups do not fit: the COUNT of XREADGROUP applies to each stream, so a claim over three priorities
 *   and thirty queues would take far more than the worker has slots for.  Turns, cancellation, the bound on waiting
 *   submissions and the attempt check must be atomic steps anyway.  docs/design/STORE.md lists the keys.
 *
 *   - connection.c, address.c, resolver.c, tls.c: one connection.
 *   - pool.c: connections for calls, back-off while Redis is down, scripts by EVALSHA.
 *   - calls.c: the calls other than claims; a call is repeated once if its connection broke.
 *   - dead.c: dead letters, the list of workers.
 *   - claim.c: claims, and waiting for a submission with BLPOP.
 *   - watch.c: the thread that subscribes to events.
 *   - store.c: opening and closing.
 *
 * A script may be sent twice, because its answer was lost with the connection.  So each script gives the same answer to
 * the same call: add finds the token stored, finish and cancel carry a name of the call, a claim carries a request
 * number.
 */
#pragma once
#include <pthread.h>

#include "config/config.h"
#include "queue/queue.h"
#include "queue/redis/connection.h"
#include "queue/shared_cache.h"
#include "queue/stores.h"
#include "redis_scripts.h" /* generated from scripts/ by meson */

#define REDIS_CALL_MS 2500 /* for one answer; together with a connect less than 5 s */
#define REDIS_IDLE_MAX 16
#define REDIS_DEAD_MAX 1000                         /* dead letters kept */
#define REDIS_DEAD_MS_MAX (7ull * 24 * 3600 * 1000) /* and for how long */

struct redis_pool {
    struct redis_address address;
    pthread_mutex_t lock; /* all fields below */
    struct redis_connection *idle[REDIS_IDLE_MAX];
    size_t idle_len;
    uint64_t retry_at_ms;    /* no connect before */
    uint32_t failures;       /* of connects, in a row */
    struct error last_error; /* of the last connect that failed */
};

/* Sends claims, one request at a time.  Its name is stored in Redis, so it outlives its connection. */
struct redis_claim_conn {
    char name[TOKEN_BYTES];
    uint64_t number;                     /* of the last request */
    bool is_unanswered;                  /* Redis may have answered that request, but the answer did not arrive */
    struct redis_connection *connection; /* NULL: not connected */
    int wake_fd;                         /* eventfd; readable: stop waiting */
    struct redis_claim_conn *next;       /* in `idle` or `waiting` */
};

struct redis_store {
    struct store store;                   /* must come first */
    char prefix[CONFIG_STRING_BYTES + 4]; /* "{evalx}:" */
    uint64_t queue_max, lease_ms, attempts_max, returns_max, idempotency_ms, unserved_ms;
    uint64_t opened_ms;
    struct store_budgets budgets;
    char budget[96];             /* of results, as the scripts read it */
    pthread_mutex_t unsafe_lock; /* the two fields below */
    struct error unsafe;         /* why the server cannot keep the promises; kind ERROR_NONE: none is known */
    uint64_t checked_ms;         /* when that was checked */
    struct redis_trust *trust;   /* NULL: no TLS */
    struct redis_resolver *resolver;
    struct redis_pool pool;

    pthread_mutex_t claim_conns_lock; /* the three fields below */
    struct redis_claim_conn *idle, *waiting;
    bool wake_is_pending; /* redis_wake came while no claim waited */

    pthread_t watch_thread;
    store_watcher *watcher; /* NULL: no watch thread */
    void *watcher_context;
    store_result_watcher *result_watcher; /* NULL: none */
    void *result_context;
    int watch_stop_fd; /* eventfd */
};

static inline struct redis_store *redis_of(struct store *store)
{
    return (struct redis_store *)store;
}

/* ---- pool.c ---- */

void redis_pool_init(struct redis_pool *pool, const struct redis_address *address);
void redis_pool_done(struct redis_pool *pool);
/* Takes an idle connection or makes a new one.  While Redis is down, one caller tries and the others fail at once. */
int redis_pool_take(struct redis_pool *pool, struct redis_connection **ret, struct error *err);
void redis_pool_give(struct redis_pool *pool, struct redis_connection *connection);
/* Makes a connection that the caller keeps, with the same back-off. */
int redis_pool_connect(struct redis_pool *pool, struct redis_connection **ret, struct error *err);
/* Closes a broken connection and the idle ones, which are probably broken, too. */
void redis_pool_drop(struct redis_pool *pool, struct redis_connection *connection);

/* The arguments of a script.  Strings are borrowed, numbers are copied. */
struct redis_args {
    const char **at;
    size_t *lens;
    char (*numbers)[24];
    size_t len, cap;
};
#define auto_args __attribute__((cleanup(redis_args_done)))
/* For a call of `script` with at most `cap` arguments. */
int redis_args_init(struct redis_args *args, const struct redis_store *store, enum redis_script script, size_t cap,
                    struct error *err);
void redis_args_done(struct redis_args *args);
void redis_args_add(struct redis_args *args, struct text text);
void redis_args_add_number(struct redis_args *args, uint64_t number);

/* Runs the script on this connection.  On failure *ret_broke tells whether to repeat it on another connection. */
int redis_eval(struct redis_connection *connection, enum redis_script script, struct redis_args *args, redisReply **ret,
               bool *ret_broke, struct error *err);
/* Runs the script on a connection of the pool, and once more if that broke.  `type` is the expected type of *ret. */
int redis_call(struct redis_store *store, enum redis_script script, struct redis_args *args, int type, redisReply **ret,
               struct error *err);
/* The same with arguments of these kinds: n uint64_t, t const char *, b struct text. */
int redis_run(struct redis_store *store, enum redis_script script, int type, redisReply **ret, struct error *err,
              const char *kinds, ...);
int redis_bad_reply(enum redis_script script, struct error *err); /* always -1 */

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

/* ---- calls.c: the calls of queue/queue.h and queue/shared_cache.h ---- */

/* See store_add_each; ret_added may be NULL as in store_add. */
int redis_add(struct store *base, const struct store_new news[], size_t len, struct store_added ret_added[],
              struct error *err);
int redis_heartbeat(struct store *base, const struct store_worker *worker, struct store_lease leases[], size_t len,
                    struct error *err);
int redis_finish(struct store *base, const char *worker, const char *token, uint32_t attempt,
                 enum submission_state state, struct text result, bool *ret_kept, struct error *err);
int redis_release(struct store *base, const char *token, uint32_t attempt, struct error *err);
int redis_give_back(struct store *base, const char *token, uint32_t attempt, const char *reason, struct error *err);
int redis_cancel(struct store *base, const char *token, bool *ret_cancelled, struct error *err);
int redis_get(struct store *base, const char *const tokens[], size_t len, uint64_t result_max,
              struct store_view ret_views[], struct error *err);
int redis_depth(struct store *base, struct queue_depth *ret, struct error *err);
int redis_reap_expired(struct store *base, struct error *err);
int redis_forget_worker(struct store *base, const char *name, struct error *err);
int redis_cache_get(struct store *base, const char *key, struct buf *ret, bool *ret_found, struct error *err);
int redis_cache_put(struct store *base, const char *key, struct text bytes, uint64_t bytes_max, struct error *err);

/* ---- store.c ---- */

/* Sets queue_max and the budgets of one of `parts` equal servers. */
void redis_set_budgets(struct redis_store *store, const struct config *config, uint64_t parts);
/* Does not connect. */
int redis_store_new(const struct config *config, const char *url, struct redis_store **ret, struct error *err);
/*
 * While it runs: repeats redis_check_server now and then.  From a failure on until it passes again, adds and depths
 * fail.
 */
void redis_check_again(struct redis_store *store);
/* -1 with ERROR_STORE if the last check found that the server cannot keep the promises. */
int redis_check_passed(struct redis_store *store, struct error *err);
/* Fails with ERROR_SETUP if the server cannot keep the promises.  If the ACL forbids INFO, it is accepted unchecked. */
int redis_check_server(struct redis_store *store, struct error *err);

/* ---- dead.c: as in queue/queue.h ---- */

/* Lists the workers whose last heartbeat is younger than a lease. */
int redis_workers(struct store *base, struct store_worker_view ret_views[], size_t max, size_t *ret_len,
                  struct error *err);
int redis_dead_list(struct store *base, uint64_t before_ms, const char *before_token, struct store_dead ret_dead[],
                    size_t max, size_t *ret_len, struct error *err);
int redis_dead_get(struct store *base, const char *token, struct store_dead *ret, bool *ret_found, struct error *err);
int redis_dead_retry(struct store *base, const char *token, bool *ret_retried, struct error *err);

/* ---- claim.c ---- */

/* See store_claim and store_wake. */
int redis_claim(struct store *base, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                struct store_claim ret_claims[], size_t *ret_len, struct error *err);
void redis_wake(struct store *base);
void redis_claim_conns_done(struct redis_store *store);

/* The steps of a claim, also for one that asks several servers (shards/claim.c). */
struct redis_claim_request {
    const struct store_worker *worker;
    size_t queues_len, max;
    struct store_claim *ret_claims;
    char woken_queue[QUEUE_NAME_BYTES]; /* the queue whose wakeup this claim has taken, or "" */
};
/* How a wait ended.  INTERRUPTED: by redis_wake, or there is no answer yet. */
enum redis_block_result { BLOCK_WAKEUP, BLOCK_TIMEOUT, BLOCK_INTERRUPTED, BLOCK_FAILED };

int redis_claim_conn_take(struct redis_store *store, struct redis_claim_conn **ret, struct error *err);
void redis_claim_conn_give(struct redis_store *store, struct redis_claim_conn *conn);
/* Claims without waiting, and connects if necessary.  With max 0 it only returns the wakeup that was taken. */
int redis_claim_now(struct redis_store *store, struct redis_claim_conn *conn, const struct redis_claim_request *request,
                    size_t *ret_len, struct error *err);
/* Sends the BLPOP that waits for a wakeup. */
int redis_claim_send_blpop(struct redis_store *store, struct redis_claim_conn *conn,
                           const struct redis_claim_request *request, uint64_t slice_ms, struct error *err);
/* Reads its answer: BLOCK_WAKEUP with request->woken_queue set, BLOCK_TIMEOUT or BLOCK_FAILED. */
enum redis_block_result redis_claim_read_blpop(const struct redis_store *store, const redisReply *reply,
                                               struct redis_claim_request *request, struct error *err);
/*
 * Between these two calls redis_wake makes conn->wake_fd readable.  False: redis_wake came just before, so do not wait
 * and do not call redis_claim_wait_end.
 */
bool redis_claim_wait_begin(struct redis_store *store, struct redis_claim_conn *conn);
void redis_claim_wait_end(struct redis_store *store, struct redis_claim_conn *conn);

/* ---- watch.c ---- */

/* See store_watch and store_watch_results. */
int redis_watch(struct store *base, store_watcher *watcher, void *context, struct error *err);
void redis_watch_results(struct store *base, store_result_watcher *watcher, void *context);
/* Stops the thread; does nothing if it does not run. */
void redis_watch_stop(struct redis_store *store);
