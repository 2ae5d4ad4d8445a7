/*
 * sqlite/commit: group commit.
 *
 * A transaction costs more than most of the statements in it, so concurrent callers share one.  Each queues an op.  If
 * there is no leader, the caller becomes the leader: it takes all queued ops, runs them in one transaction, commits,
 * wakes their owners, and passes the lead to the first of those that came meanwhile.  It never leads twice in a row, so
 * no caller works for others without end.  A single caller pays no thread switch.  An op that must be durable waits for
 * the flush afterwards (flush.c); a claim does not.
 *
 * Each op of a group runs in a savepoint.  If one fails, its rows and counts are undone and the others continue.  If
 * the transaction fails (full disk, failed commit), every op of the group fails and nothing has changed.
 */
#include "queue/sqlite/sqlite_store.h"

#include <assert.h>

#include "base/sync.h"

#define GROUP_MAX 256

/* Fails all ops of the group with the same error and undoes their changes. */
static void fail_group(struct sqlite_store *store, struct sqlite_op *group[], size_t len, struct sqlite_mark start,
                       const struct error *why)
{
    struct error ignored;
    if (sqlite3_get_autocommit(store->writer.db) == 0)
        (void)sqlite_run(&store->writer, QUERY_ROLLBACK, &ignored, "");
    sqlite_rollback_to(store, start);
    sqlite_note_failure(store, why);
    for (size_t i = 0; i < len; i++) {
        group[i]->result = -1;
        group[i]->err = *why;
    }
}

/* Returns -1 if the transaction is lost.  If only the op failed, that is in op->result. */
static int run_op(struct sqlite_store *store, struct sqlite_op *op, bool alone, struct error *err)
{
    struct sqlite_connection *writer = &store->writer;
    struct sqlite_mark mark = sqlite_mark(store);
    if (!alone && sqlite_run(writer, QUERY_SAVEPOINT, err, "") < 0)
        return -1;
    op->result = op->apply(store, op->what, &op->err);
    if (sqlite3_get_autocommit(writer->db) != 0) { /* a full disk or a damaged file rolls back the transaction */
        *err = op->err;
        return -1;
    }
    if (alone) {
        if (op->result < 0)
            *err = op->err;
        return op->result;
    }
    if (op->result < 0) {
        sqlite_note_failure(store, &op->err);
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
    store->commit_number = is_durable ? sqlite_commit_begin(store) : 0;

    int result = sqlite_health(store, &err);
    if (result == 0)
        result = sqlite_run(&store->writer, QUERY_BEGIN_WRITE, &err, "");
    for (size_t i = 0; i < len && result == 0; i++)
        result = run_op(store, group[i], len == 1, &err);
    if (result == 0)
        result = sqlite_run(&store->writer, QUERY_COMMIT, &err, "");
    for (size_t i = 0; i < len; i++)
        group[i]->commit_number = group[i]->is_durable ? store->commit_number : 0;
    if (is_durable)
        sqlite_commit_end(store, store->commit_number);
    if (result < 0)
        fail_group(store, group, len, start, &err);
    else
        sqlite_committed(store);
}

/* With ops_lock held. */
static size_t take_group(struct sqlite_store *store, struct sqlite_op *group[GROUP_MAX])
{
    size_t len = 0;
    while (store->ops_first != NULL && len < GROUP_MAX) {
        group[len++] = store->ops_first;
        store->ops_first = store->ops_first->next;
    }
    if (store->ops_first == NULL)
        store->ops_last = NULL;
    return len;
}

/* With ops_lock held, which it releases during the transaction. */
static void lead(struct sqlite_store *store)
{
    struct sqlite_op *group[GROUP_MAX];
    size_t len = take_group(store, group);
    mutex_unlock(&store->ops_lock);
    run_group(store, group, len);
    mutex_lock(&store->ops_lock);
    for (size_t i = 0; i < len; i++) {
        group[i]->is_done = true;
        cond_signal(&group[i]->turn);
    }
    if (store->ops_first != NULL) {
        store->ops_first->leads = true;
        cond_signal(&store->ops_first->turn);
    } else {
        store->has_leader = false;
    }
}

int sqlite_commit(struct sqlite_store *store, struct sqlite_op *op, struct error *err)
{
    op->is_done = op->leads = false;
    op->next = NULL;
    cond_init(&op->turn);

    mutex_lock(&store->ops_lock);
    if (store->ops_last != NULL)
        store->ops_last->next = op;
    else
        store->ops_first = op;
    store->ops_last = op;

    if (!store->has_leader)
        store->has_leader = op->leads = true;
    while (!op->is_done && !op->leads)
        cond_wait(&op->turn, &store->ops_lock);
    if (op->leads)
        lead(store);
    assert(op->is_done);
    mutex_unlock(&store->ops_lock);

    (void)pthread_cond_destroy(&op->turn);
    if (op->result < 0)
        *err = op->err;
    else if (op->commit_number != 0)
        return sqlite_wait_durable(store, op->commit_number, err);
    return op->result;
}
