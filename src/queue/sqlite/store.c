/*
 * sqlite/store: opening and closing; see sqlite/sqlite_store.h for how the store works.
 *
 * One process owns the file, so every lease found at opening belongs to a dead process.  Its submissions are queued
 * again at once, or end as dead letters if they have lost too many leases.
 */
#include "queue/sqlite/sqlite_store.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sync.h"

/* Counts waiting or running submissions from the rows. */
static int count_rows(struct sqlite_store *store, enum sqlite_query query, bool waiting, struct error *err)
{
    sqlite3_stmt *count = sqlite_bind(&store->writer, query, err, "");
    int got = sqlite_step(count, err);
    for (; got == 1; got = sqlite_step(count, err)) {
        size_t index = sqlite_queue(store, (const char *)sqlite3_column_text(count, 0)); /* may move store->queues */
        struct sqlite_queue *queue = &store->queues[index];
        size_t who = sqlite_client(store, (const char *)sqlite3_column_text(count, 2)); /* may move store->clients */
        struct sqlite_client *client = &store->clients[who];
        int priority = sqlite3_column_int(count, 1);
        bool parked = sqlite3_column_int(count, 3) != 0;
        uint64_t len = (uint64_t)sqlite3_column_int64(count, 4);
        uint64_t bytes = (uint64_t)sqlite3_column_int64(count, 5);
        if (priority < 0 || priority >= PRIORITY_COUNT_) {
            (void)sqlite3_reset(count);
            return error_set(err, ERROR_SETUP, 0, "open store: %s holds a priority this evalx does not know",
                             store->file);
        }
        if (waiting)
            *(parked ? &queue->parked[priority] : &queue->waiting[priority]) += len;
        else
            queue->running += len;
        client->waiting += waiting ? len : 0;
        client->active += parked ? 0 : len;
        client->queue_bytes += bytes;
        store->queue_bytes += bytes;
    }
    return got;
}

static int apply_recover(struct sqlite_store *store, void *what, struct error *err)
{
    return sqlite_expire_leases(store, INT64_MAX, what, err);
}

static int recover(struct sqlite_store *store, struct error *err)
{
    (void)sqlite_client(store, ""); /* gets index 0 */
    if (count_rows(store, QUERY_COUNT_WAITING, true, err) < 0 ||
        count_rows(store, QUERY_COUNT_RUNNING, false, err) < 0 || sqlite_count_results(store, err) < 0)
        return -1;
    bool more = true;
    while (more)
        if (sqlite_commit(store, &(struct sqlite_op){ .apply = apply_recover, .what = &more, .is_durable = true },
                          err) < 0)
            return -1;
    return 0;
}

static void sqlite_close(struct store *base)
{
    struct sqlite_store *store = sqlite_of(base);
    sqlite_watch_stop(store);
    for (size_t i = 0; i < store->readers_len; i++)
        sqlite_connection_close(&store->readers[i]);
    sqlite_connection_close(&store->writer); /* closing the last connection copies the WAL into the file */
    if (store->wal_fd >= 0)
        (void)close(store->wal_fd);
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd); /* the lock file is kept: deleting it would race with the next owner */
    free(store->queues);
    free(store->clients);
    free(store->journal);
    free(store->new_events);
    free(store->notify);
    free(store->workers);
    free(store->served);
    (void)pthread_mutex_destroy(&store->ops_lock);
    (void)pthread_mutex_destroy(&store->lock);
    (void)pthread_mutex_destroy(&store->readers_lock);
    (void)pthread_cond_destroy(&store->watch_wakeup);
    (void)pthread_mutex_destroy(&store->flush_lock);
    (void)pthread_mutex_destroy(&store->health_lock);
    (void)pthread_cond_destroy(&store->flushed);
    free(store);
}

static void sqlite_new_token(struct store *base, const char *key, char ret_token[TOKEN_BYTES])
{
    (void)base;
    (void)key;
    token_new(ret_token);
}

static const struct store_ops sqlite_ops = {
    .new_token = sqlite_new_token,
    .add = sqlite_add,
    .claim = sqlite_claim,
    .heartbeat = sqlite_heartbeat,
    .finish = sqlite_finish,
    .release = sqlite_release,
    .give_back = sqlite_give_back,
    .cancel = sqlite_cancel,
    .get = sqlite_get,
    .depth = sqlite_depth,
    .reap_expired = sqlite_reap_expired,
    .forget_worker = sqlite_forget_worker,
    .workers = sqlite_workers,
    .dead_list = sqlite_dead_list,
    .dead_get = sqlite_dead_get,
    .dead_retry = sqlite_dead_retry,
    .wake = sqlite_wake,
    .watch = sqlite_watch,
    .watch_results = sqlite_watch_results,
    .close = sqlite_close,
};

int sqlite_store_open(const struct config *config, const char *file, struct store **ret, struct error *err)
{
    struct sqlite_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return error_set(err, ERROR_SETUP, ENOMEM, "open store");
    store->store = (struct store){ .ops = &sqlite_ops, .kind = "sqlite" };
    store->lock_fd = store->wal_fd = -1;
    store->queue_max = config->queue_max;
    store->lease_ms = config->lease_ms;
    store->attempts_max = config->attempts_max;
    store->returns_max = config->returns_max;
    store->budgets = store_budgets_of(config, 1);
    store->unserved_ms = config->unserved_s * 1000;
    store->opened_ms = clock_mono_us() / 1000;
    store->idempotency_ms = config->idempotency_s * 1000;
    (void)snprintf(store->file, sizeof store->file, "%s", file);
    mutex_init(&store->ops_lock);
    mutex_init(&store->lock);
    mutex_init(&store->readers_lock);
    mutex_init(&store->flush_lock);
    mutex_init(&store->health_lock);
    cond_init(&store->watch_wakeup);
    cond_init(&store->flushed);

    if (sqlite_file_open(store, err) < 0 || sqlite_health_open(store, err) < 0 || recover(store, err) < 0) {
        err->kind = ERROR_SETUP;
        sqlite_close(&store->store);
        return -1;
    }
    *ret = &store->store;
    return 0;
}
