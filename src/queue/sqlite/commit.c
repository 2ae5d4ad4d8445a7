/*
 * sqlite_commit: many callers, one commit.
 *
 * A transaction costs more than most of what is done in it, so concurrent callers share one.  Each leaves its order in
 * the queue.  If nobody leads, it leads: takes all that lies there, runs it in one transaction, commits, tells
 * the owners, and hands the lead to the first of those who came meanwhile (never twice to itself, so nobody
 * works for others for ever).  A caller alone pays no thread switch.  The flush that a promise needs comes after
 * that (sqlite/flush.c): who only claims does not wait for it.
 *
 * Each order of a group runs in a savepoint: where one fails, its rows and its changes of the lanes are taken back
 * and the others go on.  Where the transaction itself is lost (full disk, failed commit), every order of the group
 * fails, and nothing has happened.
 *
 * The one thing never done here: writing through a connection that another thread might use.
 */
#include "queue/sqlite/sqlite_store.h"

#include <assert.h>

#define GROUP_MAX 256

/* Everything in the group fails with the same words; what it did is taken back. */
static void fail_group(struct sqlite_store *store, struct sqlite_op *group[], size_t len, struct sqlite_mark start,
                       const struct error *why)
{
    struct error ignored;
    if (sqlite3_get_autocommit(store->writer.db) == 0)
        (void)sqlite_run(&store->writer, QUERY_ROLLBACK, &ignored, "");
    sqlite_rollback_to(store, start);
    for (size_t i = 0; i < len; i++) {
        group[i]->result = -1;
        group[i]->err = *why;
    }
}

/* 0, or -1 where the transaction is lost; an order's own failure is in the order. */
static int run_op(struct sqlite_store *store, struct sqlite_op *op, bool alone, struct error *err)
{
    struct sqlite_connection *writer = &store->writer;
    struct sqlite_mark mark = sqlite_mark(store);
    if (!alone && sqlite_run(writer, QUERY_SAVEPOINT, err, "") < 0)
        return -1;
    op->result = op->apply(store, op->what, &op->err);
    if (sqlite3_get_autocommit(writer->db) != 0) { /* a full disk or a broken file rolls back everything at once */
        *err = op->err;
        return -1;
    }
    if (alone) {
        if (op->result < 0)
            *err = op->err;
        return op->result;
    }
    if (op->result < 0) {
        sqlite_rollback_to(store, mark);
        if (sqlite_run(writer, QUERY_ROLLBACK_TO, err, "") < 0)
            return -1;
    }
    return sqlite_run(writer, QUERY_RELEASE, err, "");
}

static void run_group(struct sqlite_store *store, struct sqlite_op *group[], size_t len)
{
    struct error err = { 0 };
    struct sqlite_mark start = sqlite_mark(store);
    bool is_durable = false;
    for (size_t i = 0; i < len; i++)
        is_durable |= group[i]->is_durable;
    store->commit_number = is_durable ? sqlite_commit_started(store) : 0;

    int result = sqlite_run(&store->writer, QUERY_BEGIN_WRITE, &err, "");
    for (size_t i = 0; i < len && result == 0; i++)
        result = run_op(store, group[i], len == 1, &err);
    if (result == 0)
        result = sqlite_run(&store->writer, QUERY_COMMIT, &err, "");
    for (size_t i = 0; i < len; i++)
        group[i]->commit_number = group[i]->is_durable ? store->commit_number : 0;
    if (is_durable)
        sqlite_commit_written(store, store->commit_number);
    if (result < 0)
        fail_group(store, group, len, start, &err);
    else
        sqlite_committed(store);
}

/* With queue_lock held. */
static size_t take_group(struct sqlite_store *store, struct sqlite_op *group[GROUP_MAX])
{
    size_t len = 0;
    while (store->queue_first != NULL && len < GROUP_MAX) {
        group[len++] = store->queue_first;
        store->queue_first = store->queue_first->next;
    }
    if (store->queue_first == NULL)
        store->queue_last = NULL;
    return len;
}

static void lead(struct sqlite_store *store)
{
    struct sqlite_op *group[GROUP_MAX];
    size_t len = take_group(store, group);
    (void)pthread_mutex_unlock(&store->queue_lock);
    run_group(store, group, len);
    (void)pthread_mutex_lock(&store->queue_lock);
    for (size_t i = 0; i < len; i++) {
        group[i]->is_done = true;
        (void)pthread_cond_signal(&group[i]->turn);
    }
    if (store->queue_first != NULL) {
        store->queue_first->leads = true;
        (void)pthread_cond_signal(&store->queue_first->turn);
    } else {
        store->is_led = false;
    }
}

int sqlite_commit(struct sqlite_store *store, struct sqlite_op *op, struct error *err)
{
    op->is_done = op->leads = false;
    op->next = NULL;
    (void)pthread_cond_init(&op->turn, NULL);

    (void)pthread_mutex_lock(&store->queue_lock);
    if (store->queue_last != NULL)
        store->queue_last->next = op;
    else
        store->queue_first = op;
    store->queue_last = op;

    if (!store->is_led)
        store->is_led = op->leads = true;
    while (!op->is_done && !op->leads)
        (void)pthread_cond_wait(&op->turn, &store->queue_lock);
    if (op->leads)
        lead(store);
    assert(op->is_done);
    (void)pthread_mutex_unlock(&store->queue_lock);

    (void)pthread_cond_destroy(&op->turn);
    if (op->result < 0)
        *err = op->err;
    else if (op->commit_number != 0)
        return sqlite_flush_commit(store, op->commit_number, err);
    return op->result;
}
