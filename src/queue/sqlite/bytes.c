/*
 * sqlite/bytes: the bytes of payloads and results that the store holds, in all and by client, and what they decide.
 *
 * The sums are kept in memory like the other counts (queues.c).  The column `bytes` holds the size of a row's payload
 * until the submission ends, then that of its result.
 */
#include "queue/sqlite/sqlite_store.h"

#include <inttypes.h>

#include "base/clock.h"

/* If nothing else is stored, one submission of any size is accepted. */
static bool exceeds(uint64_t held, uint64_t more, uint64_t max)
{
    return held > 0 && held + more > max;
}

enum store_outcome sqlite_client_room(struct sqlite_store *store, const char *name, uint64_t bytes)
{
    const struct store_budgets *budgets = &store->budgets;
    if (name[0] == '\0')
        return STORE_ADDED;
    const struct sqlite_client *client = &store->clients[sqlite_client(store, name)];
    if (budgets->client_queue_bytes > 0 && exceeds(client->queue_bytes, bytes, budgets->client_queue_bytes))
        return STORE_CLIENT_QUEUE_BYTES;
    if (budgets->client_results_bytes > 0 && client->results_bytes >= budgets->client_results_bytes)
        return STORE_CLIENT_RESULTS_BYTES;
    return STORE_ADDED;
}

int sqlite_check_room(struct sqlite_store *store, uint64_t new_bytes, struct error *err)
{
    const struct store_budgets *budgets = &store->budgets;
    uint64_t before = store->queue_bytes - new_bytes;
    if (sqlite_waiting(store) > store->queue_max)
        return store_queue_full(store->queue_max, err);
    if (exceeds(before, new_bytes, budgets->queue_bytes))
        return store_queue_bytes_full(budgets, err);
    if (sqlite_results_full(store))
        return store_results_full(budgets, err);
    return 0;
}

bool sqlite_results_full(const struct sqlite_store *store)
{
    return store->results_bytes >= store->budgets.results_bytes;
}

int64_t sqlite_expires_ms(struct sqlite_store *store, size_t client, uint64_t bytes)
{
    const struct store_budgets *budgets = &store->budgets;
    bool pressed = 2 * (store->results_bytes + bytes) > budgets->results_bytes;
    if (client != 0 && budgets->client_results_bytes > 0)
        pressed |= 2 * (store->clients[client].results_bytes + bytes) > budgets->client_results_bytes;
    return (int64_t)(clock_wall_ms() + (pressed ? budgets->ttl_min_ms : budgets->ttl_ms));
}

int sqlite_count_results(struct sqlite_store *store, struct error *err)
{
    sqlite3_stmt *count = sqlite_bind(&store->writer, QUERY_COUNT_ENDED, err, "");
    int got = sqlite_step(count, err);
    for (; got == 1; got = sqlite_step(count, err)) {
        size_t client = sqlite_client(store, (const char *)sqlite3_column_text(count, 0));
        uint64_t bytes = (uint64_t)sqlite3_column_int64(count, 1);
        store->results_bytes += bytes;
        store->clients[client].results_bytes += bytes;
    }
    return got;
}
