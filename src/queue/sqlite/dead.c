/* sqlite/dead: dead letters and the list of workers. */
#include "queue/sqlite/sqlite_store.h"

#include <assert.h>

#include "base/clock.h"
#include "base/sync.h"

static void copy_text(char *ret, size_t bytes, sqlite3_stmt *row, int column)
{
    (void)snprintf(ret, bytes, "%s", (const char *)sqlite3_column_text(row, column));
}

static void read_dead(sqlite3_stmt *row, struct store_dead *ret)
{
    *ret = (struct store_dead){ .priority = (enum submission_priority)sqlite3_column_int(row, 2),
                                .attempt = (uint32_t)sqlite3_column_int64(row, 3),
                                .created_ms = (uint64_t)sqlite3_column_int64(row, 4),
                                .died_ms = (uint64_t)sqlite3_column_int64(row, 5) };
    copy_text(ret->token, sizeof ret->token, row, 0);
    copy_text(ret->queue, sizeof ret->queue, row, 1);
    copy_text(ret->reason, sizeof ret->reason, row, 6);
    copy_text(ret->client, sizeof ret->client, row, 7);
}

static int read_payload(sqlite3_stmt *row, struct store_dead *ret, struct error *err)
{
    size_t len = (size_t)sqlite3_column_bytes(row, 8);
    buf_init(&ret->payload, len + 1);
    return len > 0 ? buf_append(&ret->payload, sqlite3_column_blob(row, 8), len, err) : 0;
}

int sqlite_dead_list(struct store *base, uint64_t before_ms, const char *before_token, struct store_dead ret_dead[],
                     size_t max, size_t *ret_len, struct error *err)
{
    struct sqlite_store *store = sqlite_of(base);
    struct sqlite_connection connection;
    size_t len = 0;
    if (sqlite_reader_take(store, &connection, err) < 0)
        return -1;
    sqlite3_stmt *row = sqlite_bind(&connection, QUERY_DEAD_LIST, err, "iti",
                                    before_ms > 0 ? (int64_t)before_ms : INT64_MAX, before_token, (int64_t)max);
    int got = sqlite_step(row, err);
    for (; got == 1; got = sqlite_step(row, err)) {
        assert(len < max);
        read_dead(row, &ret_dead[len++]);
    }
    sqlite_reader_give(store, &connection, got, err);
    *ret_len = len;
    return got;
}

int sqlite_dead_get(struct store *base, const char *token, struct store_dead *ret, bool *ret_found, struct error *err)
{
    struct sqlite_store *store = sqlite_of(base);
    struct sqlite_connection connection;
    if (sqlite_reader_take(store, &connection, err) < 0)
        return -1;
    sqlite3_stmt *row = sqlite_bind(&connection, QUERY_DEAD, err, "t", token);
    int got = sqlite_step(row, err);
    *ret_found = got == 1;
    if (got == 1) {
        read_dead(row, ret);
        got = read_payload(row, ret, err);
        (void)sqlite3_reset(row);
    }
    sqlite_reader_give(store, &connection, got, err);
    return got;
}

/* ---- retry ---- */

struct retry_op {
    const char *token;
    bool retried;
};

/* The row of a token: its seq (0: no row exists), and whether it is a dead letter that was retried. */
struct old_row {
    int64_t seq, bytes;
    size_t client;
    bool retried;
};

static int find_old_row(struct sqlite_store *store, const char *token, struct old_row *ret, struct error *err)
{
    sqlite3_stmt *row = sqlite_bind(&store->writer, QUERY_RETRIED, err, "t", token);
    int got = sqlite_step(row, err);
    *ret = (struct old_row){ 0 };
    if (got != 1)
        return got;
    ret->seq = sqlite3_column_int64(row, 0);
    ret->retried = sqlite3_column_int(row, 1) != 0;
    ret->bytes = sqlite3_column_int64(row, 2);
    ret->client = sqlite_client(store, (const char *)sqlite3_column_text(row, 3));
    (void)sqlite3_reset(row);
    return 0;
}

/* Deletes the row of the dead letter's end. */
static int drop_old_row(struct sqlite_store *store, const struct old_row *old, struct error *err)
{
    if (sqlite_run(&store->writer, QUERY_RESULT_DROP, err, "i", old->seq) < 0 ||
        sqlite_run(&store->writer, QUERY_FORGET, err, "i", old->seq) < 0)
        return -1;
    sqlite_count(store, &(struct sqlite_count_delta){ .client = old->client, .results_bytes = -old->bytes });
    return 0;
}

/* Inserts a new row at the end of its queue.  The attempt number continues, because a worker of an earlier attempt may
 * still report its result. */
static int requeue_dead(struct sqlite_store *store, const struct store_dead *dead, uint32_t running_max,
                        struct error *err)
{
    struct sqlite_queue_position position;
    struct sqlite_connection *writer = &store->writer;
    int64_t now = (int64_t)clock_wall_ms();
    if (sqlite_choose_position(store, dead->client, running_max, dead->queue, dead->priority, &position, err) < 0 ||
        sqlite_run(writer, QUERY_INSERT, err, "tititiiii", dead->token, (int64_t)dead->priority, dead->queue, now,
                   dead->client, position.tag, (int64_t)position.parked, (int64_t)running_max,
                   (int64_t)dead->payload.len) < 0)
        return -1;
    int64_t seq = sqlite3_last_insert_rowid(writer->db);
    if (sqlite_run(writer, QUERY_RETRY, err, "iii", seq, (int64_t)dead->attempt, (int64_t)dead->created_ms) < 0 ||
        sqlite_run(writer, QUERY_PAYLOAD_PUT, err, "ib", seq, buf_text(&dead->payload)) < 0 ||
        sqlite_run(writer, QUERY_DEAD_DROP, err, "t", dead->token) < 0)
        return -1;
    sqlite_count_new(store, &position, dead->queue, dead->priority, dead->payload.len);
    sqlite_note_event(store, dead->token, SUBMISSION_QUEUED, false);
    return sqlite_check_room(store, dead->payload.len, err);
}

static int apply_retry(struct sqlite_store *store, void *what, struct error *err)
{
    struct retry_op *op = what;
    struct store_dead dead = { 0 };
    struct old_row old;
    if (find_old_row(store, op->token, &old, err) < 0)
        return -1;
    op->retried = old.retried;
    sqlite3_stmt *row = sqlite_bind(&store->writer, QUERY_DEAD, err, "t", op->token);
    int got = sqlite_step(row, err);
    if (got != 1)
        return got;
    read_dead(row, &dead);
    uint32_t running_max = (uint32_t)sqlite3_column_int64(row, 9);
    int result = read_payload(row, &dead, err);
    (void)sqlite3_reset(row);
    if (result == 0 && old.seq != 0)
        result = drop_old_row(store, &old, err);
    if (result == 0)
        result = requeue_dead(store, &dead, running_max, err);
    store_dead_done(&dead);
    op->retried = true;
    return result;
}

int sqlite_dead_retry(struct store *base, const char *token, bool *ret_retried, struct error *err)
{
    struct retry_op op = { .token = token };
    if (sqlite_commit(sqlite_of(base), &(struct sqlite_op){ .apply = apply_retry, .what = &op, .is_durable = true },
                      err) < 0)
        return -1;
    *ret_retried = op.retried;
    return 0;
}

/* ---- workers ---- */

void sqlite_note_worker(struct sqlite_store *store, const struct store_worker *worker)
{
    lock_guard(&store->lock);
    size_t i = 0;
    while (i < store->workers_len && strcmp(store->workers[i].name, worker->name) != 0)
        i++;
    if (i == store->workers_len) {
        store->workers = sqlite_grow(store->workers, store->workers_len, &store->workers_cap, sizeof *store->workers);
        store->workers[i] = (struct sqlite_worker){ 0 };
        (void)snprintf(store->workers[i].name, sizeof store->workers[i].name, "%s", worker->name);
        store->workers_len++;
    }
    store->workers[i].slots = worker->slots;
    store->workers[i].busy_milli = worker->busy_milli;
    store->workers[i].running = worker->running;
    store->workers[i].beat_ms = clock_mono_us() / 1000;
}

int sqlite_forget_worker(struct store *base, const char *name, struct error *err)
{
    struct sqlite_store *store = sqlite_of(base);
    (void)err;
    lock_guard(&store->lock);
    for (size_t i = 0; i < store->workers_len; i++)
        if (strcmp(store->workers[i].name, name) == 0)
            store->workers[i--] = store->workers[--store->workers_len];
    return 0;
}

void sqlite_forget_dead_workers(struct sqlite_store *store)
{
    uint64_t now = clock_mono_us() / 1000;
    lock_guard(&store->lock);
    for (size_t i = 0; i < store->workers_len; i++)
        if (store->workers[i].beat_ms + store->lease_ms < now)
            store->workers[i--] = store->workers[--store->workers_len];
}

int sqlite_workers(struct store *base, struct store_worker_view ret_views[], size_t max, size_t *ret_len,
                   struct error *err)
{
    struct sqlite_store *store = sqlite_of(base);
    uint64_t now = clock_mono_us() / 1000;
    size_t len = 0;
    (void)err;
    lock_guard(&store->lock);
    for (size_t i = 0; i < store->workers_len && len < max; i++) {
        const struct sqlite_worker *worker = &store->workers[i];
        if (worker->beat_ms + store->lease_ms < now)
            continue;
        struct store_worker_view *view = &ret_views[len++];
        *view = (struct store_worker_view){ .slots = worker->slots,
                                            .busy_milli = worker->busy_milli,
                                            .running = worker->running,
                                            .beat_ago_ms = now > worker->beat_ms ? now - worker->beat_ms : 0 };
        (void)snprintf(view->name, sizeof view->name, "%s", worker->name);
    }
    *ret_len = len;
    return 0;
}
