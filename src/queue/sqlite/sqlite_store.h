/*
 * sqlite_internal: what the sqlite_*.c files share; nobody else includes it.
 *
 * Theory of operation
 *
 *   One process owns a database: an exclusive lock on FILE.lock is held for as long as the store is open.  So
 *   whatever counts, wakes or renews may live in this process' memory, as long as it follows the commits:
 *
 *   - sqlite/commit.c: a caller that wants to write leaves an `order` in a queue; whoever finds no leader becomes
 *     the leader, runs every order that lies there in one transaction (each in a savepoint of its own), commits
 *     once and wakes their owners.  Only the leader touches `writer`, and only between two commits.
 *   - sqlite/flush.c: the flush of what was woken, beside the next commit.
 *   - sqlite/queues.c: how many wait and run in each lane, kept in memory beside the rows.  A change is journalled
 *     until the commit, and taken back with the order or the transaction that made it.
 *   - sqlite/claim.c: claimers that wait, longest first.  After each commit as many are woken as there are
 *     submissions nobody has been woken for ("woken").
 *   - sqlite/transitions.c: the statements that take a submission from state to state.
 *   - sqlite/clients.c: turns and limits of clients, idempotency keys.
 *   - sqlite/dead.c: dead letters, the list of workers.
 *   - sqlite/read.c: get and depth, on connections of their own that never wait for a commit.
 *   - sqlite/watch.c: the thread that tells the watcher.
 *   - sqlite/schema.c: the tables, the statements, opening.
 *
 * Locks: `queue_lock` guards the queue of orders and is never held while statements run.  `lock` guards
 * lanes, waiters, workers and events; held for short moments, also inside a transaction.  `readers_lock` guards the
 * idle readers, `flush_lock` the numbers of promises.  None is held while another is taken.
 */
#pragma once
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>

#include "config/config.h"
#include "queue/queue.h"
#include "queue/stores.h"

#define SQLITE_SCHEMA_VERSION 2
#define SQLITE_READERS_MAX 4
#define SQLITE_DEAD_MAX 1000                         /* dead letters kept, at most */
#define SQLITE_DEAD_MS_MAX (7ull * 24 * 3600 * 1000) /* and for how long */

/* X(name, SQL).  Every statement stands here, so that a test can ask for the plan of each. */
#define SQLITE_QUERIES(X)                                                                                              \
    X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                                                  \
    X(BEGIN_READ, "BEGIN")                                                                                             \
    X(COMMIT, "COMMIT")                                                                                                \
    X(ROLLBACK, "ROLLBACK")                                                                                            \
    X(SAVEPOINT, "SAVEPOINT one_order")                                                                                \
    X(RELEASE, "RELEASE one_order")                                                                                    \
    X(ROLLBACK_TO, "ROLLBACK TO one_order")                                                                            \
    X(INSERT, "INSERT INTO submission(token, state, priority, lane, created, queued, client, tag, parked, "            \
              "running_max) VALUES(?1, 0, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8) ON CONFLICT(token) DO NOTHING")              \
    X(PAYLOAD_PUT, "INSERT INTO payload(seq, body) VALUES(?1, ?2)")                                                    \
    X(PAYLOAD, "SELECT body FROM payload WHERE seq = ?1")                                                              \
    X(PAYLOAD_DROP, "DELETE FROM payload WHERE seq = ?1")                                                              \
    X(HEAD, "SELECT seq, token, attempt, queued, created, client, tag FROM submission "                                \
            "WHERE state = 0 AND parked = 0 AND lane = ?1 AND priority = ?2 ORDER BY tag, seq LIMIT 1")                \
    X(LAST_TAG, "SELECT max(tag) FROM submission "                                                                     \
                "WHERE state = 0 AND parked = 0 AND client <> '' AND client = ?1 AND lane = ?2 AND priority = ?3")     \
    X(OLDEST_NAMED, "SELECT created FROM submission "                                                                  \
                    "WHERE state = 0 AND client <> '' AND created > 0 ORDER BY created LIMIT 1")                       \
    X(PARKED, "SELECT seq, lane, priority, running_max FROM submission "                                               \
              "WHERE parked = 1 AND client = ?1 ORDER BY priority, seq LIMIT 1")                                       \
    X(UNPARK, "UPDATE submission SET parked = 0, tag = ?2 WHERE seq = ?1")                                             \
    X(KEY, "SELECT token, body FROM keyed WHERE key = ?1 AND until > ?2")                                              \
    X(KEY_PUT, "INSERT OR REPLACE INTO keyed(key, token, body, until) VALUES(?1, ?2, ?3, ?4)")                         \
    X(KEYS_DROP_OLD, "DELETE FROM keyed WHERE key IN (SELECT key FROM keyed WHERE until <= ?1 LIMIT 256)")             \
    X(TAKE, "UPDATE submission SET state = 1, attempt = attempt + 1, started = ?2, lease = ?3, worker = ?4 "           \
            "WHERE seq = ?1")                                                                                          \
    X(BY_TOKEN, "SELECT seq, state, priority, lane, attempt, lost, cancelled, client, parked, worker "                 \
                "FROM submission WHERE token = ?1")                                                                    \
    X(RENEW, "UPDATE submission SET lease = ?2 WHERE seq = ?1")                                                        \
    X(END, "UPDATE submission SET state = ?2, finished = ?3, cancelled = ?4, lost = ?5, worker = ?6, lease = 0, "      \
           "parked = 0 WHERE seq = ?1")                                                                                \
    X(RESULT_PUT, "INSERT INTO result(seq, body) VALUES(?1, ?2)")                                                      \
    X(REQUEUE, "UPDATE submission SET state = 0, started = 0, lease = 0, worker = '', queued = ?2, lost = ?3 "         \
               "WHERE seq = ?1")                                                                                       \
    X(LOST, "SELECT token FROM submission WHERE state = 1 AND lease <= ?1 ORDER BY lease LIMIT 256")                   \
    X(OLD, "SELECT seq FROM submission WHERE state >= 2 AND finished <= ?1 ORDER BY finished LIMIT 256")               \
    X(FORGET, "DELETE FROM submission WHERE seq = ?1")                                                                 \
    X(RESULT_DROP, "DELETE FROM result WHERE seq = ?1")                                                                \
    X(DEAD_PUT, "INSERT OR REPLACE INTO dead(token, lane, priority, attempt, created, died, reason, payload, client, " \
                "running_max) SELECT token, lane, priority, attempt, created, ?2, ?3, body, client, running_max "      \
                "FROM submission JOIN payload USING(seq) WHERE seq = ?1")                                              \
    X(DEAD_DROP_OLD, "DELETE FROM dead WHERE died <= ?1")                                                              \
    X(DEAD_DROP_MANY, "DELETE FROM dead WHERE token IN "                                                               \
                      "(SELECT token FROM dead ORDER BY died DESC LIMIT -1 OFFSET ?1)")                                \
    X(DEAD_COUNT, "SELECT count(*) FROM dead INDEXED BY dead_died WHERE died >= 0")                                    \
    X(DEAD_LIST, "SELECT token, lane, priority, attempt, created, died, reason, client FROM dead "                     \
                 "WHERE (died, token) < (?1, ?2) ORDER BY died DESC, token DESC LIMIT ?3")                             \
    X(DEAD, "SELECT token, lane, priority, attempt, created, died, reason, client, payload, running_max FROM dead "    \
            "WHERE token = ?1")                                                                                        \
    X(DEAD_DROP, "DELETE FROM dead WHERE token = ?1")                                                                  \
    X(RETRIED, "SELECT seq, retried FROM submission WHERE token = ?1")                                                 \
    X(RETRY, "UPDATE submission SET attempt = ?2, created = ?3, retried = 1 WHERE seq = ?1")                           \
    X(VIEW, "SELECT s.state, s.cancelled, s.attempt, s.lane, s.created, s.started, s.finished, r.body "                \
            "FROM submission s LEFT JOIN result r ON r.seq = s.seq WHERE s.token = ?1")                                \
    X(COUNT_WAITING, "SELECT lane, priority, client, parked, count(*) FROM submission WHERE state = 0 "                \
                     "GROUP BY lane, priority, client, parked")                                                        \
    X(COUNT_RUNNING, "SELECT lane, priority, client, 0, count(*) FROM submission WHERE state = 1 "                     \
                     "GROUP BY lane, priority, client")

enum sqlite_query {
#define X(name, sql) QUERY_##name,
    SQLITE_QUERIES(X)
#undef X
        QUERY_COUNT_,
};

/* One connection and its statements, prepared when first used.  One thread at a time. */
struct sqlite_connection {
    sqlite3 *db;
    sqlite3_stmt *statements[QUERY_COUNT_];
};

struct sqlite_store;

/* What a caller wants written.  Lives on the caller's stack until sqlite_commit returns. */
struct sqlite_op {
    int (*apply)(struct sqlite_store *store, void *what, struct error *err);
    void *what;
    bool is_durable; /* acknowledged means on disk; false where losing it in a power cut breaks no promise */

    /* The leader's: */
    int result;
    struct error err;
    uint64_t commit_number; /* of its commit; 0: none */
    bool is_done, leads;
    pthread_cond_t turn;
    struct sqlite_op *next;
};

struct sqlite_queue {
    char name[32];
    uint64_t waiting[PRIORITY_COUNT_]; /* in the queues */
    uint64_t parked[PRIORITY_COUNT_];  /* wait too, but aside: see sqlite/clients.c */
    uint64_t running;
    uint64_t woken; /* claimers woken for it that have not looked yet */
};

/* A client with a name; index 0 is nobody in particular, of whom nothing is counted. */
struct sqlite_client {
    char name[STORE_CLIENT_BYTES];
    uint64_t waiting; /* in the queues and parked */
    uint64_t active;  /* in the queues and running */
};

struct sqlite_count_delta {
    size_t queue;
    enum submission_priority priority;
    int waiting, running, parked;
    size_t client;
    int client_waiting, client_active;
};

struct sqlite_event {
    char token[TOKEN_BYTES];
    enum submission_state state;
    bool cancelled;
    uint64_t commit_number; /* that is to be kept before it is told; 0: none */
};

/* A claimer that waits; on its own stack, in the list in the order they came. */
struct sqlite_waiter {
    const struct store_worker *worker;
    size_t woken_for; /* SIZE_MAX: none */
    bool is_woken;    /* store_wake */
    pthread_cond_t wakeup;
    struct sqlite_waiter *next;
};

struct sqlite_worker {
    char name[80];
    uint32_t slots, busy_milli, running;
    uint64_t beat_ms; /* monotonic */
};

struct sqlite_store {
    struct store store; /* must come first */
    char file[CONFIG_STRING_BYTES + 16];
    uint64_t queue_max, lease_ms, attempts_max, result_ttl_ms, idempotency_ms;
    int lock_fd;

    struct sqlite_connection writer; /* the leader's */
    pthread_mutex_t queue_lock;
    struct sqlite_op *queue_first, *queue_last;
    bool is_led;
    uint64_t commit_number; /* of the transaction that runs; the leader's */

    int wal_fd;
    pthread_mutex_t flush_lock;
    pthread_cond_t flushed;
    uint32_t flush_waiters;
    uint64_t commit_started, commit_written, commit_durable; /* see sqlite/flush.c */
    bool is_flushing;
    int flush_os; /* why a flush failed; then no promise is kept any more */

    pthread_mutex_t lock;
    struct sqlite_queue *queues; /* grows, never shrinks; a lane is named by its index */
    size_t queues_len, queues_cap;
    struct sqlite_client *clients; /* likewise */
    size_t clients_len, clients_cap;
    struct sqlite_count_delta *journal; /* of the transaction that runs */
    size_t journal_len, journal_cap;
    struct sqlite_event *fresh; /* of the transaction that runs */
    size_t fresh_len, fresh_cap;
    struct sqlite_waiter *waiters;
    bool wake_is_pending;
    struct sqlite_worker *workers;
    size_t workers_len, workers_cap;
    uint64_t turns[64]; /* claims made, by the set of lanes asked for (see sqlite/claim.c) */

    pthread_mutex_t readers_lock;
    struct sqlite_connection readers[SQLITE_READERS_MAX]; /* idle ones */
    size_t readers_len;

    pthread_t watch_thread;
    pthread_cond_t watch_wakeup; /* with `lock` */
    store_watcher *watcher;      /* NULL: nobody watches */
    void *watcher_context;
    store_result_watcher *result_watcher; /* NULL: nobody */
    void *result_context;
    struct sqlite_event *notify; /* committed, not yet told */
    size_t notify_len, notify_cap;
    bool watch_stops;
};

static inline struct sqlite_store *sqlite_of(struct store *store)
{
    return (struct sqlite_store *)store;
}

/* sqlite/schema.c */
const char *sqlite_query_sql(enum sqlite_query query);
/* Locks the file, makes it if it is missing, opens the writer. */
int sqlite_file_open(struct sqlite_store *store, struct error *err);
int sqlite_connection_open(const char *file, bool is_reader, struct sqlite_connection *ret, struct error *err);
void sqlite_connection_close(struct sqlite_connection *connection);
/* The statement, reset, with values bound: i int64_t, t const char *, b struct text.  NULL with *err. */
sqlite3_stmt *sqlite_bind(struct sqlite_connection *connection, enum sqlite_query query, struct error *err,
                          const char *kinds, ...);
/* 1 a row, 0 done (and reset), -1 with *err (and reset). */
int sqlite_step(sqlite3_stmt *statement, struct error *err);
/* Bind and run a statement that gives no rows. */
#define sqlite_run(connection, query, err, ...)                                                                        \
    sqlite_run_((connection), sqlite_bind((connection), (query), (err), __VA_ARGS__), (err))
int sqlite_run_(struct sqlite_connection *connection, sqlite3_stmt *statement, struct error *err);
int sqlite_fail(sqlite3 *db, enum error_kind kind, const char *doing, struct error *err);

/* sqlite/commit.c */
int sqlite_commit(struct sqlite_store *store, struct sqlite_op *op, struct error *err);

/* sqlite/flush.c */
int sqlite_flush_open(struct sqlite_store *store, struct error *err);
/* By the leader: before the COMMIT of a transaction that promises something, and after it, also where it failed. */
uint64_t sqlite_commit_started(struct sqlite_store *store);
void sqlite_commit_written(struct sqlite_store *store, uint64_t number);
/* On the disk when it returns 0. */
int sqlite_flush_commit(struct sqlite_store *store, uint64_t number, struct error *err);
/* All that a reader may have seen. */
int sqlite_flush_all(struct sqlite_store *store, struct error *err);

/* sqlite/queues.c; the first three inside a transaction */
size_t sqlite_queue(struct sqlite_store *store, const char *name);
void sqlite_count(struct sqlite_store *store, const struct sqlite_count_delta *change);
void sqlite_queue_move(struct sqlite_store *store, size_t queue, enum submission_priority priority, int waiting,
                       int running);
void sqlite_note_event(struct sqlite_store *store, const char *token, enum submission_state state, bool cancelled);
struct sqlite_mark {
    size_t journal_len, fresh_len;
};
struct sqlite_mark sqlite_mark(struct sqlite_store *store);
void sqlite_rollback_to(struct sqlite_store *store, struct sqlite_mark mark); /* as if nothing had happened since */
void sqlite_committed(struct sqlite_store *store); /* after a commit: forgets the journal, tells, rings */
uint64_t sqlite_waiting(struct sqlite_store *store);
void *sqlite_grow(void *array, size_t len, size_t *cap, size_t bytes_each);

/* sqlite/clients.c; inside a transaction */
size_t sqlite_client(struct sqlite_store *store, const char *name); /* its index */
/* What a new submission's row needs to stand where its client's turn comes; the counts are the caller's. */
struct sqlite_position {
    size_t client;
    int64_t tag;
    bool parked;
};
int sqlite_find_position(struct sqlite_store *store, const char *client, uint32_t running_max, const char *queue,
                         enum submission_priority priority, struct sqlite_position *ret, struct error *err);
void sqlite_count_new(struct sqlite_store *store, const struct sqlite_position *position, const char *queue,
                      enum submission_priority priority);
/* One of the client's that were active is no more: the next one parked may come. */
int sqlite_client_ended(struct sqlite_store *store, size_t client, struct error *err);
/* Is this add a repeat, a conflict, or beyond its client's limit?  Also notes its key where it is none. */
int sqlite_check_add(struct sqlite_store *store, const struct store_new *entry, int64_t now, struct store_added *ret,
                     struct error *err);

/* sqlite/dead.c */
int sqlite_workers(struct store *store, struct store_worker_view ret_views[], size_t max, size_t *ret_len,
                   struct error *err);
int sqlite_dead_list(struct store *store, uint64_t before_ms, const char *before_token, struct store_dead ret_dead[],
                     size_t max, size_t *ret_len, struct error *err);
int sqlite_dead_get(struct store *store, const char *token, struct store_dead *ret, bool *ret_found, struct error *err);
int sqlite_dead_retry(struct store *store, const char *token, bool *ret_retried, struct error *err);

/* sqlite/claim.c */
int sqlite_claim(struct store *store, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                 struct store_claim ret_claims[], size_t *ret_len, struct error *err);
void sqlite_wake(struct store *store);
void sqlite_wake_one(struct sqlite_store *store); /* with `lock` held */

/* sqlite/transitions.c */
int sqlite_add(struct store *store, const struct store_new news[], size_t len, struct store_added ret_added[],
               struct error *err);
int sqlite_heartbeat(struct store *store, const struct store_worker *worker, struct store_lease leases[], size_t len,
                     struct error *err);
int sqlite_finish(struct store *store, const char *worker, const char *token, uint32_t attempt,
                  enum submission_state state, struct text result, bool *ret_kept, struct error *err);
int sqlite_release(struct store *store, const char *token, uint32_t attempt, struct error *err);
int sqlite_cancel(struct store *store, const char *token, bool *ret_cancelled, struct error *err);
int sqlite_reap_expired(struct store *store, struct error *err);
int sqlite_forget_worker(struct store *store, const char *name, struct error *err);
/* Takes back every lease that ran out before `mono_ms`; *ret_more says that there may be others. */
int sqlite_expire_leases(struct sqlite_store *store, int64_t mono_ms, bool *ret_more, struct error *err);

/* sqlite/read.c */
int sqlite_reader_take(struct sqlite_store *store, struct sqlite_connection *ret, struct error *err);
void sqlite_reader_give(struct sqlite_store *store, struct sqlite_connection *connection);
int sqlite_get(struct store *store, const char *const tokens[], size_t len, struct store_view ret_views[],
               struct error *err);
int sqlite_depth(struct store *store, struct queue_depth *ret, struct error *err);

/* sqlite/watch.c */
int sqlite_watch(struct store *store, store_watcher *watcher, void *context, struct error *err);
void sqlite_watch_results(struct store *store, store_result_watcher *watcher, void *context);
void sqlite_watch_stop(struct sqlite_store *store);
