/*
 * sqlite/read: get and depth.
 *
 * Readers have their own connections, which in WAL mode never wait for a commit; idle ones are kept.  A final state is
 * returned only once it is durable: after a power cut, a client that had seen a result would find it gone.
 */
#include "queue/sqlite/sqlite_store.h"

#include <assert.h>

#include "base/clock.h"
#include "base/sync.h"

int sqlite_reader_take(struct sqlite_store *store, struct sqlite_connection *ret, struct error *err)
{
    if (sqlite_health(store, err) < 0)
        return -1;
    mutex_lock(&store->readers_lock);
    bool got = store->readers_len > 0;
    if (got)
        *ret = store->readers[--store->readers_len];
    mutex_unlock(&store->readers_lock);
    if (got)
        return 0;
    if (sqlite_connection_open(store->file, true, ret, err) < 0) {
        err->kind = ERROR_STORE; /* not ERROR_SETUP: the store could be opened before */
        return -1;
    }
    return 0;
}

void sqlite_reader_give(struct sqlite_store *store, struct sqlite_connection *connection, int result,
                        const struct error *err)
{
    if (result < 0)
        sqlite_note_failure(store, err);
    mutex_lock(&store->readers_lock);
    bool keep = result == 0 && store->readers_len < SQLITE_READERS_MAX;
    if (keep)
        store->readers[store->readers_len++] = *connection;
    mutex_unlock(&store->readers_lock);
    if (!keep)
        sqlite_connection_close(connection);
}

static int read_view(struct sqlite_connection *connection, const char *token, int64_t result_max,
                     struct store_view *ret, struct error *err)
{
    *ret = (struct store_view){ 0 };
    sqlite3_stmt *view = sqlite_bind(connection, QUERY_VIEW, err, "ti", token, result_max);
    int got = sqlite_step(view, err);
    if (got != 1)
        return got;
    int result = 0;
    uint64_t finished_ms = (uint64_t)sqlite3_column_int64(view, 6);
    uint64_t expires_ms = (uint64_t)sqlite3_column_int64(view, 8);
    bool has_expired = finished_ms != 0 && expires_ms <= clock_wall_ms();
    if (!has_expired) { /* otherwise the next reaping deletes it */
        ret->found = true;
        ret->state = (enum submission_state)sqlite3_column_int(view, 0);
        ret->cancelled = sqlite3_column_int(view, 1) != 0;
        ret->attempt = (uint32_t)sqlite3_column_int64(view, 2);
        (void)snprintf(ret->queue, sizeof ret->queue, "%s", (const char *)sqlite3_column_text(view, 3));
        ret->created_ms = (uint64_t)sqlite3_column_int64(view, 4);
        ret->started_ms = (uint64_t)sqlite3_column_int64(view, 5);
        ret->finished_ms = finished_ms;
        size_t len = (size_t)sqlite3_column_bytes(view, 7);
        if (sqlite3_column_int64(view, 9) > result_max)
            ret->left_out = (uint64_t)sqlite3_column_int64(view, 9);
        buf_init(&ret->result, len + 1);
        result = len > 0 ? buf_append(&ret->result, sqlite3_column_blob(view, 7), len, err) : 0;
    }
    (void)sqlite3_reset(view);
    return result;
}

/* Waits until final states among the views are durable.  On failure ends the views. */
static int wait_for_ends(struct sqlite_store *store, struct store_view views[], size_t len, struct error *err)
{
    bool any = false;
    for (size_t i = 0; i < len; i++)
        any |= views[i].found && submission_state_is_final(views[i].state);
    if (!any || sqlite_wait_all_durable(store, err) == 0)
        return 0;
    for (size_t i = 0; i < len; i++)
        store_view_done(&views[i]);
    return -1;
}

int sqlite_get(struct store *base, const char *const tokens[], size_t len, uint64_t result_max,
               struct store_view ret_views[], struct error *err)
{
    int64_t most = result_max > INT64_MAX ? INT64_MAX : (int64_t)result_max;
    struct sqlite_store *store = sqlite_of(base);
    struct sqlite_connection connection;
    if (sqlite_reader_take(store, &connection, err) < 0)
        return -1;
    int result = sqlite_run(&connection, QUERY_BEGIN_READ, err, "");
    for (size_t i = 0; i < len && result == 0; i++) {
        result = read_view(&connection, tokens[i], most, &ret_views[i], err);
        if (result < 0)
            for (size_t j = 0; j <= i; j++)
                store_view_done(&ret_views[j]);
    }
    struct error ignored;
    if (sqlite3_get_autocommit(connection.db) == 0)
        (void)sqlite_run(&connection, QUERY_COMMIT, &ignored, "");
    sqlite_reader_give(store, &connection, result, err);
    return result == 0 ? wait_for_ends(store, ret_views, len, err) : -1;
}

/* When the oldest submission waiting in this queue was added; 0 if none waits. */
static int oldest_in_queue(struct sqlite_connection *connection, const char *queue, uint64_t *ret_ms, struct error *err)
{
    *ret_ms = 0;
    for (int priority = 0; priority < PRIORITY_COUNT_; priority++) {
        sqlite3_stmt *head = sqlite_bind(connection, QUERY_HEAD, err, "ti", queue, (int64_t)priority);
        int got = sqlite_step(head, err);
        if (got < 0)
            return -1;
        if (got == 0)
            continue;
        uint64_t created_ms = (uint64_t)sqlite3_column_int64(head, 4);
        if (*ret_ms == 0 || created_ms < *ret_ms)
            *ret_ms = created_ms;
        (void)sqlite3_reset(head);
    }
    return 0;
}

/* The same for named clients, whose submissions are not queued by age. */
static int oldest_named(struct sqlite_connection *connection, uint64_t *ret_ms, struct error *err)
{
    *ret_ms = 0;
    sqlite3_stmt *oldest = sqlite_bind(connection, QUERY_OLDEST_NAMED, err, "");
    int got = sqlite_step(oldest, err);
    if (got != 1)
        return got;
    *ret_ms = (uint64_t)sqlite3_column_int64(oldest, 0);
    (void)sqlite3_reset(oldest);
    return 0;
}

static void copy_counts(struct sqlite_store *store, struct queue_depth *ret)
{
    uint64_t now = clock_mono_us() / 1000;
    lock_guard(&store->lock);
    for (size_t i = 0; i < store->queues_len; i++) {
        const struct sqlite_queue *queue = &store->queues[i];
        uint64_t waiting = 0;
        for (int priority = 0; priority < PRIORITY_COUNT_; priority++)
            waiting += queue->waiting[priority] + queue->parked[priority];
        ret->waiting += waiting;
        ret->running += queue->running;
        if (waiting + queue->running == 0 || ret->queues_len == QUEUE_DEPTH_QUEUES_MAX)
            continue;
        (void)snprintf(ret->queues[ret->queues_len].queue, sizeof ret->queues[0].queue, "%s", queue->name);
        for (int priority = 0; priority < PRIORITY_COUNT_; priority++)
            ret->queues[ret->queues_len].waiting_by[priority] = queue->waiting[priority] + queue->parked[priority];
        ret->queues[ret->queues_len].waiting = waiting;
        ret->queues[ret->queues_len++].running = queue->running;
    }
    ret->queue_bytes = store->queue_bytes;
    ret->queue_bytes_max = store->budgets.queue_bytes;
    ret->results_bytes = store->results_bytes;
    ret->results_bytes_max = store->budgets.results_bytes;
    for (size_t i = 0; i < store->workers_len; i++) {
        if (store->workers[i].beat_ms + store->lease_ms < now)
            continue;
        ret->workers++;
        ret->slots += store->workers[i].slots;
        ret->busy_milli += store->workers[i].busy_milli;
    }
}

int sqlite_depth(struct store *base, struct queue_depth *ret, struct error *err)
{
    struct sqlite_store *store = sqlite_of(base);
    struct sqlite_connection connection;
    if (sqlite_reader_take(store, &connection, err) < 0)
        return -1;
    *ret = (struct queue_depth){ 0 };
    copy_counts(store, ret);

    uint64_t oldest_ms = 0;
    int result = oldest_named(&connection, &oldest_ms, err);
    for (size_t i = 0; i < ret->queues_len && result == 0; i++) {
        uint64_t queue_ms;
        if (ret->queues[i].waiting == 0)
            continue;
        result = oldest_in_queue(&connection, ret->queues[i].queue, &queue_ms, err);
        if (result == 0 && queue_ms != 0 && (oldest_ms == 0 || queue_ms < oldest_ms))
            oldest_ms = queue_ms;
    }
    uint64_t now = clock_wall_ms();
    ret->oldest_wait_ms = oldest_ms != 0 && now > oldest_ms ? now - oldest_ms : 0;

    sqlite3_stmt *dead = result == 0 ? sqlite_bind(&connection, QUERY_DEAD_COUNT, err, "") : NULL;
    int got = sqlite_step(dead, err);
    if (got == 1) {
        ret->dead = (uint64_t)sqlite3_column_int64(dead, 0);
        (void)sqlite3_reset(dead);
    }
    result = got == 1 ? 0 : -1;
    sqlite_reader_give(store, &connection, result, err);
    return result;
}
