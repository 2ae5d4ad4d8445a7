/*
 * sqlite_store: the store of one machine.  Shared by the files of this folder; others include queue/stores.h.
 *
 * Theory of operation
 *
 *   One process owns a database: it holds an exclusive lock on FILE.lock while the store is open.  So counts, waiting
 *   claimers and workers can be kept in the memory of this process, in step with the commits.
 *
 *   - commit.c: group commit.  A caller that wants to write queues an `op`.  If there is no leader, it becomes the
 *     leader, runs all queued ops in one transaction, each in its own savepoint, commits once and wakes their owners.
 *     Only the leader uses the connection `writer`.
 *   - flush.c: flushes commits to the disk while the next commit runs.
 *   - queues.c: counts of waiting and running submissions by queue.  Changes are journalled until the commit, and
 *     undone with the op or the transaction that made them.
 *   - claim.c: claims, and waiting claimers.
 *   - transitions.c: the statements that change the state of a submission.
 *   - clients.c: turns and limits of clients, idempotency keys.
 *   - bytes.c: the bytes of payloads and results, and what they decide.
 *   - dead.c: dead letters, the list of workers.
 *   - read.c: get and depth, on read connections that never wait for a commit.
 *   - watch.c: the thread that calls the watchers.
 *   - schema.c: the file, its tables and the statements.
 *   - health.c: a file that was deleted, replaced or damaged while it is open; the size of the log.
 *   - store.c: opening and closing.
 *
 * Locks: `ops_lock` guards the queue of ops and is never held while statements run.  `lock` guards queues, clients,
 * waiters, workers and events; it is held for short moments, also inside a transaction.  `readers_lock` guards the idle
 * read connections, `flush_lock` the commit numbers, `health_lock` what is wrong with the file.  No lock is taken while
 * another one is held.
 *
 * In SQL a queue is a "lane", the older word for it.
 */
#pragma once
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/types.h>

#include "config/config.h"
#include "queue/queue.h"
#include "queue/stores.h"

#define SQLITE_SCHEMA_VERSION 3
#define SQLITE_READERS_MAX 4
#define SQLITE_FILES 3 /* the file, its log and the index of the log */
#define SQLITE_PATH_BYTES (CONFIG_STRING_BYTES + 32)
#define SQLITE_DAMAGED EUCLEAN                       /* error.os of whatever found the file damaged */
#define SQLITE_DEAD_MAX 1000                         /* dead letters kept */
#define SQLITE_DEAD_MS_MAX (7ull * 24 * 3600 * 1000) /* and for how long */

/* X(name, SQL).  All statements are listed here, so that a test can check the query plan of each. */
#define SQLITE_QUERIES(X)                                                                                              \
    X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                                                  \
    X(BEGIN_READ, "BEGIN")                                                                                             \
    X(COMMIT, "COMMIT")                                                                                                \
    X(ROLLBACK, "ROLLBACK")                                                                                            \
    X(SAVEPOINT, "SAVEPOINT one_op")                                                                                   \
    X(RELEASE, "RELEASE one_op")                                                                                       \
    X(ROLLBACK_TO, "ROLLBACK TO one_op")                                                                               \
    X(INSERT, "INSERT INTO submission(token, state, priority, lane, created, queued, client, tag, parked, "            \
              "running_max, bytes) VALUES(?1, 0, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT(token) DO NOTHING")   \
    X(PAYLOAD_PUT, "INSERT INTO payload(seq, body) VALUES(?1, ?2)")                                                    \
    X(PAYLOAD, "SELECT body FROM payload WHERE seq = ?1")                                                              \
    X(PAYLOAD_DROP, "DELETE FROM payload WHERE seq = ?1")                                                              \
    X(HEAD, "SELECT seq, token, attempt, queued, created, client, tag FROM submission "                                \
            "WHERE state = 0 AND parked = 0 AND lane = ?1 AND priority = ?2 ORDER BY tag, seq LIMIT 1")                \
    X(HEADS, "SELECT seq, token, attempt, queued, created, client, tag, lost FROM submission "                         \
             "WHERE state = 0 AND parked = 0 AND lane = ?1 AND priority = ?2 ORDER BY tag, seq LIMIT ?3")              \
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
    X(BY_TOKEN,                                                                                                        \
      "SELECT seq, state, priority, lane, attempt, lost, cancelled, client, parked, worker, returned, bytes "          \
      "FROM submission WHERE token = ?1")                                                                              \
    X(RENEW, "UPDATE submission SET lease = ?2 WHERE seq = ?1")                                                        \
    X(RETURN, "UPDATE submission SET lease = ?2, returned = ?3, worker = '' WHERE seq = ?1")                           \
    X(END, "UPDATE submission SET state = ?2, finished = ?3, cancelled = ?4, lost = ?5, worker = ?6, lease = 0, "      \
           "expires = ?7, bytes = ?8, "                                                                                \
           "parked = 0 WHERE seq = ?1")                                                                                \
    X(RESULT_PUT, "INSERT INTO result(seq, body) VALUES(?1, ?2)")                                                      \
    X(REQUEUE, "UPDATE submission SET state = 0, started = 0, lease = 0, worker = '', queued = ?2, lost = ?3 "         \
               "WHERE seq = ?1")                                                                                       \
    X(LOST, "SELECT token FROM submission WHERE state = 1 AND lease <= ?1 ORDER BY lease LIMIT 256")                   \
    X(OLD, "SELECT seq, bytes, client FROM submission WHERE state >= 2 AND expires <= ?1 ORDER BY expires LIMIT 256")  \
    X(FORGET, "DELETE FROM submission WHERE seq = ?1")                                                                 \
    X(RESULT_DROP, "DELETE FROM result WHERE seq = ?1")                                                                \
    X(DEAD_PUT, "INSERT OR REPLACE INTO dead(token, lane, priority, attempt, created, died, reason, payload, client, " \
                "running_max) SELECT token, lane, priority, attempt, created, ?2, ?3, body, client, running_max "      \
                "FROM submission JOIN payload USING(seq) WHERE seq = ?1")                                              \
    X(DEAD_DROP_OLD, "DELETE FROM dead WHERE died <= ?1")                                                              \
    X(DEAD_DROP_MANY, "DELETE FROM dead WHERE token IN "                                                               \
                      "(SELECT token FROM dead ORDER BY died DESC LIMIT -1 OFFSET ?1)")                                \
    X(DEAD_DROP_BYTES, "DELETE FROM dead WHERE token IN (SELECT token FROM (SELECT token, sum(length(payload)) OVER "  \
                       "(ORDER BY died DESC, token) AS total FROM dead) dead_sizes WHERE total > ?1)")                 \
    X(DEAD_COUNT, "SELECT count(*) FROM dead INDEXED BY dead_died WHERE died >= 0")                                    \
    X(DEAD_LIST, "SELECT token, lane, priority, attempt, created, died, reason, client FROM dead "                     \
                 "WHERE (died, token) < (?1, ?2) ORDER BY died DESC, token DESC LIMIT ?3")                             \
    X(DEAD, "SELECT token, lane, priority, attempt, created, died, reason, client, payload, running_max FROM dead "    \
            "WHERE token = ?1")                                                                                        \
    X(DEAD_DROP, "DELETE FROM dead WHERE token = ?1")                                                                  \
    X(RETRIED, "SELECT seq, retried, bytes, client FROM submission WHERE token = ?1")                                  \
    X(RETRY, "UPDATE submission SET attempt = ?2, created = ?3, retried = 1 WHERE seq = ?1")                           \
    X(VIEW, "SELECT s.state, s.cancelled, s.attempt, s.lane, s.created, s.started, s.finished, "                       \
            "CASE WHEN length(r.body) <= ?2 THEN r.body END, s.expires, length(r.body) "                               \
            "FROM submission s LEFT JOIN result r ON r.seq = s.seq WHERE s.token = ?1")                                \
    X(COUNT_WAITING, "SELECT lane, priority, client, parked, count(*), sum(bytes) FROM submission WHERE state = 0 "    \
                     "GROUP BY lane, priority, client, parked")                                                        \
    X(COUNT_RUNNING, "SELECT lane, priority, client, 0, count(*), sum(bytes) FROM submission WHERE state = 1 "         \
                     "GROUP BY lane, priority, client")                                                                \
    X(COUNT_ENDED, "SELECT client, sum(bytes) FROM submission WHERE state >= 2 GROUP BY client")

enum sqlite_query {
#define X(name, sql) QUERY_##name,
    SQLITE_QUERIES(X)
#undef X
        QUERY_COUNT_,
};

/* A database connection and its statements, each prepared when it is first used.  For one thread at a time. */
struct sqlite_connection {
    sqlite3 *db;
    sqlite3_stmt *statements[QUERY_COUNT_];
};

struct sqlite_store;

/* A write that a caller has queued.  It is on the stack of the caller of sqlite_commit. */
struct sqlite_op {
    int (*apply)(struct sqlite_store *store, void *what, struct error *err); /* runs in the leader's transaction */
    void *what;
    bool is_durable; /* must be on the disk before the caller returns */

    /* Set by the leader: */
    int result;
    struct error err;
    uint64_t commit_number; /* of its commit if is_durable, else 0 */
    bool is_done, leads;
    pthread_cond_t turn; /* is_done or leads was set */
    struct sqlite_op *next;
};

struct sqlite_queue {
    char name[QUEUE_NAME_BYTES];
    uint64_t waiting[PRIORITY_COUNT_]; /* in the queue */
    uint64_t parked[PRIORITY_COUNT_];  /* waiting outside of it; see clients.c */
    uint64_t running;
    uint64_t woken; /* claimers that were woken for this queue and have not claimed yet */
};

/* A named client; index 0 is the anonymous one, whose submissions are not counted. */
struct sqlite_client {
    char name[STORE_CLIENT_BYTES];
    uint64_t waiting; /* in the queues or parked */
    uint64_t active;  /* in the queues or running */
    uint64_t queue_bytes, results_bytes;
};

struct sqlite_count_delta {
    size_t queue;
    enum submission_priority priority;
    int waiting, running, parked;
    size_t client;
    int client_waiting, client_active;
    int64_t queue_bytes, results_bytes; /* of the store and the client */
};

struct sqlite_event {
    char token[TOKEN_BYTES];
    enum submission_state state;
    bool cancelled;
    uint64_t commit_number; /* must be durable before the watcher is called; 0: need not */
};

/* A waiting claimer, on the stack of its thread.  The list is ordered by arrival. */
struct sqlite_waiter {
    const struct store_worker *worker;
    size_t woken_for; /* index of a queue; SIZE_MAX: none */
    bool is_woken;    /* by store_wake */
    pthread_cond_t wakeup;
    struct sqlite_waiter *next;
};

struct sqlite_served {
    char queue[QUEUE_NAME_BYTES];
    uint64_t beat_ms; /* monotonic clock; the last heartbeat of a worker that serves it */
};

struct sqlite_worker {
    char name[STORE_WORKER_BYTES];
    uint32_t slots, busy_milli, running;
    uint64_t beat_ms; /* monotonic clock */
};

/* The file that a path named when the store was opened. */
struct sqlite_file_id {
    dev_t dev;
    ino_t ino;
};

struct sqlite_store {
    struct store store; /* must come first */
    char file[CONFIG_STRING_BYTES + 16];
    uint64_t queue_max, lease_ms, attempts_max, returns_max, idempotency_ms, unserved_ms;
    struct store_budgets budgets;
    int lock_fd;

    struct sqlite_connection writer; /* used by the leader only */
    pthread_mutex_t ops_lock;
    struct sqlite_op *ops_first, *ops_last;
    bool has_leader;
    uint64_t commit_number; /* of the running transaction; used by the leader only */

    int wal_fd;
    pthread_mutex_t flush_lock;
    pthread_cond_t flushed;
    uint32_t flush_waiters;
    uint64_t last_started, last_committed, last_durable; /* commit numbers; see flush.c */
    bool is_flushing;
    int flush_os; /* errno of a failed flush; from then on nothing is durable any more */

    struct sqlite_file_id files[SQLITE_FILES];
    pthread_mutex_t health_lock; /* the fields below */
    struct error damage;         /* of the file, for good; kind ERROR_NONE: none is known */
    struct error loss;           /* the file is deleted or replaced, as of looked_ms */
    uint64_t looked_ms, checked_ms;

    pthread_mutex_t lock;
    struct sqlite_queue *queues; /* grows and never shrinks; a queue is identified by its index */
    size_t queues_len, queues_cap;
    uint64_t queue_bytes, results_bytes;
    struct sqlite_client *clients; /* likewise */
    size_t clients_len, clients_cap;
    struct sqlite_count_delta *journal; /* of the running transaction */
    size_t journal_len, journal_cap;
    struct sqlite_event *new_events; /* of the running transaction */
    size_t new_events_len, new_events_cap;
    struct sqlite_waiter *waiters;
    bool wake_is_pending; /* store_wake came while no claimer waited */
    struct sqlite_worker *workers;
    size_t workers_len, workers_cap;
    struct sqlite_served *served; /* queues that a worker has served */
    size_t served_len, served_cap;
    uint64_t opened_ms;
    uint64_t turns[64]; /* number of claims, by a hash of the set of queues asked for; see claim.c */

    pthread_mutex_t readers_lock;
    struct sqlite_connection readers[SQLITE_READERS_MAX]; /* idle ones */
    size_t readers_len;

    pthread_t watch_thread;
    pthread_cond_t watch_wakeup; /* with `lock` */
    store_watcher *watcher;      /* NULL: no watch thread */
    void *watcher_context;
    store_result_watcher *result_watcher; /* NULL: none */
    void *result_context;
    struct sqlite_event *notify; /* committed events, for the watch thread */
    size_t notify_len, notify_cap;
    bool watch_stops;
};

static inline struct sqlite_store *sqlite_of(struct store *store)
{
    return (struct sqlite_store *)store;
}

/* ---- schema.c ---- */

const char *sqlite_query_sql(enum sqlite_query query);
/* Locks the file, creates it if it is missing, opens the writer. */
int sqlite_file_open(struct sqlite_store *store, struct error *err);
int sqlite_connection_open(const char *file, bool is_reader, struct sqlite_connection *ret, struct error *err);
void sqlite_connection_close(struct sqlite_connection *connection);
/* Resets the statement and binds values of these kinds: i int64_t, t const char *, b struct text.  NULL with *err. */
sqlite3_stmt *sqlite_bind(struct sqlite_connection *connection, enum sqlite_query query, struct error *err,
                          const char *kinds, ...);
/* 1: a row, 0: done and reset, -1: failed and reset.  NULL from sqlite_bind is a failure, too. */
int sqlite_step(sqlite3_stmt *statement, struct error *err);
/* Binds and runs a statement that returns no rows. */
#define sqlite_run(connection, query, err, ...)                                                                        \
    sqlite_run_(sqlite_bind((connection), (query), (err), __VA_ARGS__), (err))
int sqlite_run_(sqlite3_stmt *statement, struct error *err);
/* An ERROR_STORE after which nothing is accepted; see health.c.  Always returns -1. */
int sqlite_damaged(const char *file, const char *found_by, struct error *err);
/* Sets *err to the last error of db, with advice for the operator.  Always returns -1. */
int sqlite_fail(sqlite3 *db, enum error_kind kind, const char *doing, struct error *err);

/* ---- commit.c ---- */

/* Runs the op in a transaction, together with those of other callers, and returns its result. */
int sqlite_commit(struct sqlite_store *store, struct sqlite_op *op, struct error *err);

/* ---- flush.c ---- */

int sqlite_flush_open(struct sqlite_store *store, struct error *err);
/* The leader calls these around the COMMIT of a transaction that must be durable; the second one also if it failed. */
uint64_t sqlite_commit_begin(struct sqlite_store *store);
void sqlite_commit_end(struct sqlite_store *store, uint64_t number);
/* Returns 0 once this commit is on the disk. */
int sqlite_wait_durable(struct sqlite_store *store, uint64_t number, struct error *err);
/* Returns 0 once every commit that is already visible to readers is on the disk. */
int sqlite_wait_all_durable(struct sqlite_store *store, struct error *err);

/* ---- health.c ---- */

/* After the files are open: remembers which they are, and checks the pages of a small file. */
int sqlite_health_open(struct sqlite_store *store, struct error *err);
/* -1 with ERROR_STORE if the file is damaged, deleted or replaced.  Cheap: it checks the files once a second. */
int sqlite_health(struct sqlite_store *store, struct error *err);
/* If *err is that the file is damaged, sqlite_health fails from then on. */
void sqlite_note_failure(struct sqlite_store *store, const struct error *err);
/* Called about once a second: shortens a long log, and now and then checks the pages of a small file. */
int sqlite_health_care(struct sqlite_store *store, struct error *err);

/* ---- queues.c; the next three inside a transaction ---- */

/* The index of the queue, which is created if it is new. */
size_t sqlite_queue(struct sqlite_store *store, const char *name);
void sqlite_count(struct sqlite_store *store, const struct sqlite_count_delta *change);
void sqlite_note_event(struct sqlite_store *store, const char *token, enum submission_state state, bool cancelled);
struct sqlite_mark {
    size_t journal_len, new_events_len;
};
struct sqlite_mark sqlite_mark(struct sqlite_store *store);
void sqlite_rollback_to(struct sqlite_store *store, struct sqlite_mark mark); /* undoes counts and events since */
/* After a commit: clears the journal, passes the events to the watch thread, wakes claimers. */
void sqlite_committed(struct sqlite_store *store);
uint64_t sqlite_waiting(struct sqlite_store *store); /* in all queues, and parked */
/* Makes room for one more element.  Aborts if memory is out: a supervisor restarts evalx, and nothing is lost. */
void *sqlite_grow(void *array, size_t len, size_t *cap, size_t bytes_each);

/* ---- clients.c; inside a transaction ---- */

size_t sqlite_client(struct sqlite_store *store, const char *name); /* its index */
/* Where a new submission waits. */
struct sqlite_queue_position {
    size_t client;
    int64_t tag;
    bool parked;
};
int sqlite_choose_position(struct sqlite_store *store, const char *client, uint32_t running_max, const char *queue,
                           enum submission_priority priority, struct sqlite_queue_position *ret, struct error *err);
void sqlite_count_new(struct sqlite_store *store, const struct sqlite_queue_position *position, const char *queue,
                      enum submission_priority priority, uint64_t bytes);
/* An active submission of the client has ended, so the next parked one may enter its queue. */
int sqlite_client_run_ended(struct sqlite_store *store, size_t client, struct error *err);
/* Decides the outcome of an add: a repeated key, a conflict, a client over queued_max, or STORE_ADDED.  In the last
 * case it stores the key. */
int sqlite_check_add(struct sqlite_store *store, const struct store_new *entry, int64_t now, struct store_added *ret,
                     struct error *err);

/* ---- bytes.c; all but the last one inside a transaction ---- */

/* Whether a client may add a payload of so many bytes: STORE_ADDED, or which of its budgets refuses it. */
enum store_outcome sqlite_client_room(struct sqlite_store *store, const char *name, uint64_t bytes);
/* After an add of so many bytes was counted: ERROR_BUSY if the store has no room for it. */
int sqlite_check_room(struct sqlite_store *store, uint64_t new_bytes, struct error *err);
/* The results take their whole budget, so nothing is leased. */
bool sqlite_results_full(const struct sqlite_store *store);
/* When a result of so many bytes that is stored now expires. */
int64_t sqlite_expires_ms(struct sqlite_store *store, size_t client, uint64_t bytes);
/* Sums the stored results when the store opens. */
int sqlite_count_results(struct sqlite_store *store, struct error *err);

/* ---- served.c ---- */

/* Notes which queues the worker serves now. */
void sqlite_note_served(struct sqlite_store *store, const struct store_worker *worker);
/* Whether submissions for this queue are accepted. */
bool sqlite_is_served(struct sqlite_store *store, const char *queue);

/* ---- the calls of queue/queue.h ---- */

/* transitions.c */
int sqlite_add(struct store *store, const struct store_new news[], size_t len, struct store_added ret_added[],
               struct error *err);
int sqlite_heartbeat(struct store *store, const struct store_worker *worker, struct store_lease leases[], size_t len,
                     struct error *err);
int sqlite_finish(struct store *store, const char *worker, const char *token, uint32_t attempt,
                  enum submission_state state, struct text result, bool *ret_kept, struct error *err);
int sqlite_release(struct store *store, const char *token, uint32_t attempt, struct error *err);
int sqlite_give_back(struct store *store, const char *token, uint32_t attempt, const char *reason, struct error *err);
int sqlite_cancel(struct store *store, const char *token, bool *ret_cancelled, struct error *err);
int sqlite_reap_expired(struct store *store, struct error *err);
/* Takes back the leases that expired before `mono_ms`.  *ret_more: there may be more of them. */
int sqlite_expire_leases(struct sqlite_store *store, int64_t mono_ms, bool *ret_more, struct error *err);

/* claim.c */
int sqlite_claim(struct store *store, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                 struct store_claim ret_claims[], size_t *ret_len, struct error *err);
void sqlite_wake(struct store *store);
/* With `lock` held: wakes a claimer for each waiting submission that no claimer was woken for. */
void sqlite_wake_claimers(struct sqlite_store *store);

/* read.c */
int sqlite_get(struct store *store, const char *const tokens[], size_t len, uint64_t result_max,
               struct store_view ret_views[], struct error *err);
int sqlite_depth(struct store *store, struct queue_depth *ret, struct error *err);
int sqlite_reader_take(struct sqlite_store *store, struct sqlite_connection *ret, struct error *err);
/* Closes it if result is -1, then *err is the reason. */
void sqlite_reader_give(struct sqlite_store *store, struct sqlite_connection *connection, int result,
                        const struct error *err);

/* dead.c */
int sqlite_workers(struct store *store, struct store_worker_view ret_views[], size_t max, size_t *ret_len,
                   struct error *err);
int sqlite_forget_worker(struct store *store, const char *name, struct error *err);
int sqlite_dead_list(struct store *store, uint64_t before_ms, const char *before_token, struct store_dead ret_dead[],
                     size_t max, size_t *ret_len, struct error *err);
int sqlite_dead_get(struct store *store, const char *token, struct store_dead *ret, bool *ret_found, struct error *err);
int sqlite_dead_retry(struct store *store, const char *token, bool *ret_retried, struct error *err);
/* Registers the heartbeat of a worker, and removes workers whose last one is older than a lease. */
void sqlite_note_worker(struct sqlite_store *store, const struct store_worker *worker);
void sqlite_forget_dead_workers(struct sqlite_store *store);

/* watch.c */
int sqlite_watch(struct store *store, store_watcher *watcher, void *context, struct error *err);
void sqlite_watch_results(struct store *store, store_result_watcher *watcher, void *context);
void sqlite_watch_stop(struct sqlite_store *store); /* does nothing if the thread does not run */
