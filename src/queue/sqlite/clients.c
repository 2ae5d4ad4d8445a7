/*
 * sqlite/clients: turns among clients, their limits, and idempotency keys.
 *
 * Turns: a queue is ordered by priority, tag and seq.  The tag of an anonymous submission is 0, so these are served in
 * order of arrival.  A named client's submission gets the tag after its last one in that queue and priority, or the tag
 * of the queue's head if that is higher.  So waiting clients alternate, and a new client starts near the front, at a
 * cost that does not depend on how many wait.
 *
 * Limits: at most running_max submissions of a client are active, which means running or in a queue.  Further ones are
 * parked, ordered by priority and age, and one of them enters its queue when an active one ends.  So a claim never
 * meets a submission that it may not lease.
 */
#include "queue/sqlite/sqlite_store.h"

#include <assert.h>

#include "base/sync.h"

size_t sqlite_client(struct sqlite_store *store, const char *name)
{
    size_t i = 0;
    if (store->clients_len > 0 && name[0] == '\0')
        return 0;
    lock_guard(&store->lock);
    while (i < store->clients_len && strcmp(store->clients[i].name, name) != 0)
        i++;
    if (i == store->clients_len) {
        store->clients = sqlite_grow(store->clients, store->clients_len, &store->clients_cap, sizeof *store->clients);
        store->clients[i] = (struct sqlite_client){ 0 };
        (void)snprintf(store->clients[i].name, sizeof store->clients[i].name, "%s", name);
        store->clients_len++;
    }
    return i;
}

/* Reads one number of one row.  *ret is unchanged if there is no row or the number is NULL. */
static int read_number(sqlite3_stmt *statement, int column, int64_t *ret, struct error *err)
{
    int got = sqlite_step(statement, err);
    if (got != 1)
        return got;
    if (sqlite3_column_type(statement, column) != SQLITE_NULL)
        *ret = sqlite3_column_int64(statement, column);
    (void)sqlite3_reset(statement);
    return 0;
}

static int next_tag(struct sqlite_store *store, const char *client, const char *queue,
                    enum submission_priority priority, int64_t *ret, struct error *err)
{
    int64_t first = 1, last = 0;
    sqlite3_stmt *head = sqlite_bind(&store->writer, QUERY_HEAD, err, "ti", queue, (int64_t)priority);
    if (read_number(head, 6, &first, err) < 0)
        return -1;
    sqlite3_stmt *max = sqlite_bind(&store->writer, QUERY_LAST_TAG, err, "tti", client, queue, (int64_t)priority);
    if (read_number(max, 0, &last, err) < 0)
        return -1;
    *ret = first > last + 1 ? first : last + 1;
    return 0;
}

int sqlite_choose_position(struct sqlite_store *store, const char *client, uint32_t running_max, const char *queue,
                           enum submission_priority priority, struct sqlite_queue_position *ret, struct error *err)
{
    *ret = (struct sqlite_queue_position){ .client = sqlite_client(store, client) };
    if (ret->client == 0)
        return 0;
    ret->parked = running_max > 0 && store->clients[ret->client].active >= running_max;
    return ret->parked ? 0 : next_tag(store, client, queue, priority, &ret->tag, err);
}

void sqlite_count_new(struct sqlite_store *store, const struct sqlite_queue_position *position, const char *queue,
                      enum submission_priority priority, uint64_t bytes)
{
    sqlite_count(store, &(struct sqlite_count_delta){ .queue = sqlite_queue(store, queue),
                                                      .priority = priority,
                                                      .waiting = position->parked ? 0 : 1,
                                                      .parked = position->parked ? 1 : 0,
                                                      .client = position->client,
                                                      .client_waiting = 1,
                                                      .client_active = position->parked ? 0 : 1,
                                                      .queue_bytes = (int64_t)bytes });
}

/* 1: a parked submission entered its queue, 0: there is none, or the limit is reached. */
static int unpark_one(struct sqlite_store *store, size_t client, struct error *err)
{
    char name[STORE_CLIENT_BYTES], queue[QUEUE_NAME_BYTES];
    (void)snprintf(name, sizeof name, "%s", store->clients[client].name);
    sqlite3_stmt *parked = sqlite_bind(&store->writer, QUERY_PARKED, err, "t", name);
    int got = sqlite_step(parked, err);
    if (got != 1)
        return got;
    int64_t seq = sqlite3_column_int64(parked, 0), running_max = sqlite3_column_int64(parked, 3), tag;
    (void)snprintf(queue, sizeof queue, "%s", (const char *)sqlite3_column_text(parked, 1));
    enum submission_priority priority = (enum submission_priority)sqlite3_column_int(parked, 2);
    (void)sqlite3_reset(parked);
    if (running_max > 0 && store->clients[client].active >= (uint64_t)running_max)
        return 0;
    if (next_tag(store, name, queue, priority, &tag, err) < 0 ||
        sqlite_run(&store->writer, QUERY_UNPARK, err, "ii", seq, tag) < 0)
        return -1;
    sqlite_count(store, &(struct sqlite_count_delta){ .queue = sqlite_queue(store, queue),
                                                      .priority = priority,
                                                      .waiting = 1,
                                                      .parked = -1,
                                                      .client = client,
                                                      .client_active = 1 });
    return 1;
}

int sqlite_client_run_ended(struct sqlite_store *store, size_t client, struct error *err)
{
    int unparked = client != 0;
    for (int i = 0; i < 100 && unparked == 1; i++) /* more than one if the limit was raised since */
        unparked = unpark_one(store, client, err);
    return unparked < 0 ? -1 : 0;
}

/* 1: the key is known, and *ret is a repeat or a conflict. */
static int find_key(struct sqlite_store *store, const struct store_new *entry, int64_t now, struct store_added *ret,
                    struct error *err)
{
    sqlite3_stmt *known = sqlite_bind(&store->writer, QUERY_KEY, err, "ti", entry->key, now);
    int got = sqlite_step(known, err);
    if (got != 1)
        return got;
    bool same = strcmp((const char *)sqlite3_column_text(known, 1), entry->body) == 0;
    ret->outcome = same ? STORE_REPEATED : STORE_CONFLICT;
    if (same)
        (void)snprintf(ret->token, sizeof ret->token, "%s", (const char *)sqlite3_column_text(known, 0));
    (void)sqlite3_reset(known);
    return 1;
}

int sqlite_check_add(struct sqlite_store *store, const struct store_new *entry, int64_t now, struct store_added *ret,
                     struct error *err)
{
    *ret = (struct store_added){ .outcome = STORE_ADDED };
    memcpy(ret->token, entry->token, TOKEN_BYTES);
    bool is_served = sqlite_is_served(store, entry->queue);
    if (entry->key[0] == '\0' && entry->client.name[0] == '\0' && is_served)
        return 0;
    int64_t seq = 0;
    sqlite3_stmt *there = sqlite_bind(&store->writer, QUERY_BY_TOKEN, err, "t", entry->token);
    if (read_number(there, 0, &seq, err) < 0)
        return -1;
    if (seq != 0)
        return 0; /* a repetition of the same add */
    int known = entry->key[0] != '\0' ? find_key(store, entry, now, ret, err) : 0;
    if (known != 0)
        return known < 0 ? -1 : 0;
    if (!is_served) {
        ret->outcome = STORE_UNSERVED;
        return 0;
    }
    size_t client = sqlite_client(store, entry->client.name);
    if (entry->client.queued_max > 0 && store->clients[client].waiting >= entry->client.queued_max) {
        ret->outcome = STORE_CLIENT_FULL;
        return 0;
    }
    ret->outcome = sqlite_client_room(store, entry->client.name, entry->payload.len);
    if (ret->outcome != STORE_ADDED)
        return 0;
    if (entry->key[0] == '\0')
        return 0;
    return sqlite_run(&store->writer, QUERY_KEY_PUT, err, "ttti", entry->key, entry->token, entry->body,
                      now + (int64_t)store->idempotency_ms);
}
