/*
 * sqlite/transitions: the calls that change the state of a submission, except claims.
 *
 *   (new) --add--> QUEUED --claim--> PROCESSING --finish--> COMPLETED or FAILED --reaped after its time--> (gone)
 *                    ^  \                |  |  \--cancel--> FAILED
 *                    |   \--cancel--> FAILED|
 *                    \--release, lease lost/   (lease lost attempts_max times: FAILED, and a dead letter)
 *
 * Each call makes one op for sqlite_commit; its apply_ function runs on the leader, inside the transaction.
 */
#include "queue/sqlite/sqlite_store.h"

#include <assert.h>

#include "base/clock.h"

struct row {
    int64_t seq;
    enum submission_state state;
    enum submission_priority priority;
    size_t queue, client;
    uint32_t attempt, lost, returned;
    int64_t bytes; /* of the payload, or once it has ended of the result */
    bool cancelled, parked;
    char worker[STORE_WORKER_BYTES]; /* the one that holds or finished it, or "" */
};

/* 1: found, 0: not found. */
static int find_row(struct sqlite_store *store, const char *token, struct row *ret, struct error *err)
{
    sqlite3_stmt *found = sqlite_bind(&store->writer, QUERY_BY_TOKEN, err, "t", token);
    int got = sqlite_step(found, err);
    if (got != 1)
        return got;
    ret->seq = sqlite3_column_int64(found, 0);
    ret->state = (enum submission_state)sqlite3_column_int(found, 1);
    ret->priority = (enum submission_priority)sqlite3_column_int(found, 2);
    ret->queue = sqlite_queue(store, (const char *)sqlite3_column_text(found, 3));
    ret->attempt = (uint32_t)sqlite3_column_int64(found, 4);
    ret->lost = (uint32_t)sqlite3_column_int64(found, 5);
    ret->cancelled = sqlite3_column_int(found, 6) != 0;
    ret->client = sqlite_client(store, (const char *)sqlite3_column_text(found, 7));
    ret->parked = sqlite3_column_int(found, 8) != 0;
    (void)snprintf(ret->worker, sizeof ret->worker, "%s", (const char *)sqlite3_column_text(found, 9));
    ret->returned = (uint32_t)sqlite3_column_int64(found, 10);
    ret->bytes = sqlite3_column_int64(found, 11);
    (void)sqlite3_reset(found);
    return 1;
}

/* ---- add ---- */

struct add_op {
    const struct store_new *news;
    size_t len;
    struct store_added *added; /* NULL: the entries have neither keys nor queued_max */
};

static int add_row(struct sqlite_store *store, const struct store_new *entry, int64_t now, bool *ret_new,
                   struct error *err)
{
    struct sqlite_queue_position position;
    *ret_new = false;
    if (sqlite_choose_position(store, entry->client.name, entry->client.running_max, entry->queue, entry->priority,
                               &position, err) < 0 ||
        sqlite_run(&store->writer, QUERY_INSERT, err, "tititiiii", entry->token, (int64_t)entry->priority, entry->queue,
                   now, entry->client.name, position.tag, (int64_t)position.parked, (int64_t)entry->client.running_max,
                   (int64_t)entry->payload.len) < 0)
        return -1;
    if (sqlite3_changes(store->writer.db) == 0)
        return 0; /* the token exists: a repetition of the same add */
    int64_t seq = sqlite3_last_insert_rowid(store->writer.db);
    if (sqlite_run(&store->writer, QUERY_PAYLOAD_PUT, err, "ib", seq, entry->payload) < 0)
        return -1;
    sqlite_count_new(store, &position, entry->queue, entry->priority, entry->payload.len);
    *ret_new = true;
    return 0;
}

static int apply_add(struct sqlite_store *store, void *what, struct error *err)
{
    const struct add_op *op = what;
    int64_t now = (int64_t)clock_wall_ms();
    bool any = false;
    uint64_t bytes = 0;
    for (size_t i = 0; i < op->len; i++) {
        const struct store_new *entry = &op->news[i];
        bool is_new;
        if (op->added != NULL) {
            if (sqlite_check_add(store, entry, now, &op->added[i], err) < 0)
                return -1;
            if (op->added[i].outcome != STORE_ADDED)
                continue;
        }
        if (add_row(store, entry, now, &is_new, err) < 0)
            return -1;
        any |= is_new;
        bytes += is_new ? entry->payload.len : 0;
    }
    return any ? sqlite_check_room(store, bytes, err) : 0;
}

int sqlite_add(struct store *base, const struct store_new news[], size_t len, struct store_added ret_added[],
               struct error *err)
{
    struct add_op op = { news, len, ret_added };
    for (size_t i = 0; i < len; i++) {
        assert((unsigned)news[i].priority < PRIORITY_COUNT_ &&
               memchr(news[i].queue, '\0', sizeof news[i].queue) != NULL);
        assert(ret_added != NULL || (news[i].key[0] == '\0' && news[i].client.queued_max == 0));
    }
    return sqlite_commit(sqlite_of(base), &(struct sqlite_op){ .apply = apply_add, .what = &op, .is_durable = true },
                         err);
}

/* ---- heartbeat ---- */

struct beat_op {
    const struct store_lease *leases;
    size_t len;
    enum store_lease_state *states;
};

static int apply_beat(struct sqlite_store *store, void *what, struct error *err)
{
    const struct beat_op *op = what;
    int64_t until = (int64_t)(clock_mono_us() / 1000 + store->lease_ms);
    for (size_t i = 0; i < op->len; i++) {
        struct row row;
        int found = find_row(store, op->leases[i].token, &row, err);
        if (found < 0)
            return -1;
        op->states[i] = LEASE_LOST;
        if (found == 0 || row.attempt != op->leases[i].attempt)
            continue;
        if (row.state == SUBMISSION_PROCESSING && row.worker[0] != '\0') { /* not returned meanwhile */
            if (sqlite_run(&store->writer, QUERY_RENEW, err, "ii", row.seq, until) < 0)
                return -1;
            op->states[i] = LEASE_KEPT;
        } else if (row.cancelled) {
            op->states[i] = LEASE_CANCELLED;
        }
    }
    return 0;
}

int sqlite_heartbeat(struct store *base, const struct store_worker *worker, struct store_lease leases[], size_t len,
                     struct error *err)
{
    struct sqlite_store *store = sqlite_of(base);
    sqlite_note_worker(store, worker);
    sqlite_note_served(store, worker);
    while (len > 0) {
        enum store_lease_state states[64];
        size_t part = len < 64 ? len : 64;
        struct beat_op op = { leases, part, states };
        if (sqlite_commit(store, &(struct sqlite_op){ .apply = apply_beat, .what = &op }, err) < 0)
            return -1;
        for (size_t i = 0; i < part; i++)
            leases[i].state = states[i];
        leases += part;
        len -= part;
    }
    return 0;
}

/* ---- ends ---- */

/* From QUEUED or PROCESSING to a final state.  Keeps what clients read and deletes the payload. */
static int end_row(struct sqlite_store *store, const char *token, const struct row *row, enum submission_state state,
                   struct text result, bool cancelled, const char *worker, struct error *err)
{
    assert(!submission_state_is_final(row->state) && submission_state_is_final(state));
    if (sqlite_run(&store->writer, QUERY_END, err, "iiiiitii", row->seq, (int64_t)state, (int64_t)clock_wall_ms(),
                   (int64_t)cancelled, (int64_t)row->lost, worker, sqlite_expires_ms(store, row->client, result.len),
                   (int64_t)result.len) < 0 ||
        sqlite_run(&store->writer, QUERY_RESULT_PUT, err, "ib", row->seq, result) < 0 ||
        sqlite_run(&store->writer, QUERY_PAYLOAD_DROP, err, "i", row->seq) < 0)
        return -1;
    bool waited = row->state == SUBMISSION_QUEUED, was_active = !waited || !row->parked;
    sqlite_count(store, &(struct sqlite_count_delta){ .queue = row->queue,
                                                      .priority = row->priority,
                                                      .waiting = waited && !row->parked ? -1 : 0,
                                                      .parked = waited && row->parked ? -1 : 0,
                                                      .running = waited ? 0 : -1,
                                                      .client = row->client,
                                                      .client_waiting = waited ? -1 : 0,
                                                      .client_active = was_active ? -1 : 0,
                                                      .queue_bytes = -row->bytes,
                                                      .results_bytes = (int64_t)result.len });
    sqlite_note_event(store, token, state, cancelled);
    return was_active ? sqlite_client_run_ended(store, row->client, err) : 0;
}

struct end_op {
    const char *worker, *token;
    uint32_t attempt;
    enum submission_state state;
    struct text result;
    bool done;
};

static int apply_finish(struct sqlite_store *store, void *what, struct error *err)
{
    struct end_op *op = what;
    struct row row;
    int found = find_row(store, op->token, &row, err);
    if (found <= 0)
        return found;
    if (row.attempt != op->attempt)
        return 0;
    if (row.state != SUBMISSION_PROCESSING) { /* true if the answer of an earlier finish of this worker was lost */
        op->done = submission_state_is_final(row.state) && strcmp(row.worker, op->worker) == 0;
        return 0;
    }
    op->done = true;
    return end_row(store, op->token, &row, op->state, op->result, false, op->worker, err);
}

int sqlite_finish(struct store *base, const char *worker, const char *token, uint32_t attempt,
                  enum submission_state state, struct text result, bool *ret_kept, struct error *err)
{
    assert(submission_state_is_final(state));
    struct end_op op = { worker, token, attempt, state, result, false };
    if (sqlite_commit(sqlite_of(base), &(struct sqlite_op){ .apply = apply_finish, .what = &op, .is_durable = true },
                      err) < 0)
        return -1;
    *ret_kept = op.done;
    return 0;
}

static int apply_cancel(struct sqlite_store *store, void *what, struct error *err)
{
    struct end_op *op = what;
    struct row row;
    int found = find_row(store, op->token, &row, err);
    if (found <= 0)
        return found;
    if (submission_state_is_final(row.state))
        return 0;
    op->done = true;
    return end_row(store, op->token, &row, SUBMISSION_FAILED, TEXT("cancelled"), true, "", err);
}

int sqlite_cancel(struct store *base, const char *token, bool *ret_cancelled, struct error *err)
{
    struct end_op op = { .token = token };
    if (sqlite_commit(sqlite_of(base), &(struct sqlite_op){ .apply = apply_cancel, .what = &op, .is_durable = true },
                      err) < 0)
        return -1;
    *ret_cancelled = op.done;
    return 0;
}

/* ---- back into the queue ---- */

/* The seq is unchanged, so the submission returns to its old position, near the front. */
static int requeue_row(struct sqlite_store *store, const char *token, const struct row *row, struct error *err)
{
    if (sqlite_run(&store->writer, QUERY_REQUEUE, err, "iii", row->seq, (int64_t)clock_wall_ms(), (int64_t)row->lost) <
        0)
        return -1;
    sqlite_count(store, &(struct sqlite_count_delta){ .queue = row->queue,
                                                      .priority = row->priority,
                                                      .waiting = 1,
                                                      .running = -1,
                                                      .client = row->client,
                                                      .client_waiting = 1 });
    sqlite_note_event(store, token, SUBMISSION_QUEUED, false);
    return 0;
}

static int apply_release(struct sqlite_store *store, void *what, struct error *err)
{
    const struct end_op *op = what;
    struct row row;
    int found = find_row(store, op->token, &row, err);
    if (found <= 0)
        return found;
    if (row.state != SUBMISSION_PROCESSING || row.attempt != op->attempt)
        return 0;
    return requeue_row(store, op->token, &row, err);
}

int sqlite_release(struct store *base, const char *token, uint32_t attempt, struct error *err)
{
    struct end_op op = { .token = token, .attempt = attempt };
    return sqlite_commit(sqlite_of(base), &(struct sqlite_op){ .apply = apply_release, .what = &op }, err);
}

static int make_dead_letter(struct sqlite_store *store, const char *token, const struct row *row, const char *reason,
                            struct error *err)
{
    if (sqlite_run(&store->writer, QUERY_DEAD_PUT, err, "iit", row->seq, (int64_t)clock_wall_ms(), reason) < 0 ||
        sqlite_run(&store->writer, QUERY_DEAD_DROP_MANY, err, "i", (int64_t)SQLITE_DEAD_MAX) < 0 ||
        sqlite_run(&store->writer, QUERY_DEAD_DROP_BYTES, err, "i",
                   (int64_t)(store->budgets.queue_bytes / STORE_DEAD_SHARE)) < 0)
        return -1;
    return end_row(store, token, row, SUBMISSION_FAILED, text_of(reason), false, "", err);
}

/* ---- returned by a worker whose host failed ---- */

struct return_op {
    const char *token, *reason;
    uint32_t attempt;
};

static int64_t return_delay_ms(uint32_t returned)
{
    uint64_t delay_ms = STORE_RETURN_MS_MIN;
    while (returned-- > 1 && delay_ms < STORE_RETURN_MS_MAX)
        delay_ms *= 2;
    return (int64_t)(delay_ms < STORE_RETURN_MS_MAX ? delay_ms : STORE_RETURN_MS_MAX);
}

/* It stays PROCESSING, without a worker, until its delay is over: then reaping queues it again. */
static int apply_return(struct sqlite_store *store, void *what, struct error *err)
{
    const struct return_op *op = what;
    struct row row;
    int found = find_row(store, op->token, &row, err);
    if (found <= 0)
        return found;
    if (row.state != SUBMISSION_PROCESSING || row.attempt != op->attempt || row.worker[0] == '\0')
        return 0;
    if (++row.returned >= store->returns_max)
        return make_dead_letter(store, op->token, &row, op->reason, err);
    return sqlite_run(&store->writer, QUERY_RETURN, err, "iii", row.seq,
                      (int64_t)(clock_mono_us() / 1000) + return_delay_ms(row.returned), (int64_t)row.returned);
}

int sqlite_give_back(struct store *base, const char *token, uint32_t attempt, const char *reason, struct error *err)
{
    struct return_op op = { token, reason, attempt };
    return sqlite_commit(sqlite_of(base), &(struct sqlite_op){ .apply = apply_return, .what = &op, .is_durable = true },
                         err);
}

/* ---- expiry ---- */

/* After the loss of a lease, or the delay of a return. */
static int take_back_row(struct sqlite_store *store, const char *token, struct row *row, struct error *err)
{
    char reason[128];
    if (row->worker[0] == '\0')
        return requeue_row(store, token, row, err);
    if (++row->lost < store->attempts_max)
        return requeue_row(store, token, row, err);
    (void)snprintf(reason, sizeof reason, "given up after %u attempts: every worker that claimed it lost its lease",
                   row->lost);
    return make_dead_letter(store, token, row, reason, err);
}

int sqlite_expire_leases(struct sqlite_store *store, int64_t mono_ms, bool *ret_more, struct error *err)
{
    char tokens[256][TOKEN_BYTES];
    size_t len = 0;
    sqlite3_stmt *lost = sqlite_bind(&store->writer, QUERY_LOST, err, "i", mono_ms);
    int got = sqlite_step(lost, err);
    for (; got == 1; got = sqlite_step(lost, err)) {
        assert(len < 256);
        (void)snprintf(tokens[len++], TOKEN_BYTES, "%s", (const char *)sqlite3_column_text(lost, 0));
    }
    if (got < 0)
        return -1;
    for (size_t i = 0; i < len; i++) {
        struct row row;
        int found = find_row(store, tokens[i], &row, err);
        if (found < 0)
            return -1;
        assert(found == 1 && row.state == SUBMISSION_PROCESSING);
        if (take_back_row(store, tokens[i], &row, err) < 0)
            return -1;
    }
    *ret_more = len == 256;
    return 0;
}

static int delete_expired(struct sqlite_store *store, bool *ret_more, struct error *err)
{
    int64_t now = (int64_t)clock_wall_ms();
    struct {
        int64_t seq, bytes;
        size_t client;
    } ended[256];
    size_t len = 0;
    sqlite3_stmt *old = sqlite_bind(&store->writer, QUERY_OLD, err, "i", now);
    int got = sqlite_step(old, err);
    for (; got == 1; got = sqlite_step(old, err)) {
        assert(len < 256);
        ended[len].seq = sqlite3_column_int64(old, 0);
        ended[len].bytes = sqlite3_column_int64(old, 1);
        ended[len++].client = sqlite_client(store, (const char *)sqlite3_column_text(old, 2));
    }
    if (got < 0)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (sqlite_run(&store->writer, QUERY_RESULT_DROP, err, "i", ended[i].seq) < 0 ||
            sqlite_run(&store->writer, QUERY_FORGET, err, "i", ended[i].seq) < 0)
            return -1;
        sqlite_count(store,
                     &(struct sqlite_count_delta){ .client = ended[i].client, .results_bytes = -ended[i].bytes });
    }
    *ret_more = len == 256;
    if (sqlite_run(&store->writer, QUERY_KEYS_DROP_OLD, err, "i", now) < 0)
        return -1;
    *ret_more |= sqlite3_changes(store->writer.db) == 256;
    return sqlite_run(&store->writer, QUERY_DEAD_DROP_OLD, err, "i", now - (int64_t)SQLITE_DEAD_MS_MAX);
}

static int apply_reap_expired(struct sqlite_store *store, void *what, struct error *err)
{
    bool *ret_more = what, more_leases = false, more_old = false;
    if (sqlite_expire_leases(store, (int64_t)(clock_mono_us() / 1000), &more_leases, err) < 0 ||
        delete_expired(store, &more_old, err) < 0)
        return -1;
    *ret_more = more_leases || more_old;
    return 0;
}

int sqlite_reap_expired(struct store *base, struct error *err)
{
    struct sqlite_store *store = sqlite_of(base);
    sqlite_forget_dead_workers(store);
    if (sqlite_health_care(store, err) < 0)
        return -1;
    bool more = true;
    while (more) /* in parts, so that other commits get through in between */
        if (sqlite_commit(store, &(struct sqlite_op){ .apply = apply_reap_expired, .what = &more }, err) < 0)
            return -1;
    return 0;
}
