/* sqlite/served: the queues that workers serve, from their heartbeats. */
#include "queue/sqlite/sqlite_store.h"

#include "base/clock.h"
#include "base/sync.h"

/* With `lock` held: when the queue was last served; 0: never. */
static uint64_t last_served_ms(const struct sqlite_store *store, const char *queue)
{
    for (size_t i = 0; i < store->served_len; i++)
        if (strcmp(store->served[i].queue, queue) == 0)
            return store->served[i].beat_ms;
    return 0;
}

static void note_one(struct sqlite_store *store, const char *queue, uint64_t now)
{
    size_t i = 0;
    while (i < store->served_len && strcmp(store->served[i].queue, queue) != 0)
        i++;
    if (i == store->served_len) {
        store->served = sqlite_grow(store->served, store->served_len, &store->served_cap, sizeof *store->served);
        (void)snprintf(store->served[i].queue, sizeof store->served[i].queue, "%s", queue);
        store->served_len++;
    }
    store->served[i].beat_ms = now;
}

void sqlite_note_served(struct sqlite_store *store, const struct store_worker *worker)
{
    uint64_t now = clock_mono_us() / 1000;
    lock_guard(&store->lock);
    for (const char *const *queue = worker->queues; *queue != NULL; queue++)
        note_one(store, *queue, now);
}

bool sqlite_is_served(struct sqlite_store *store, const char *queue)
{
    uint64_t now = clock_mono_us() / 1000;
    if (store->unserved_ms == 0 || now - store->opened_ms < store->unserved_ms)
        return true;
    lock_guard(&store->lock);
    uint64_t served_ms = last_served_ms(store, queue);
    return served_ms != 0 && now - served_ms <= store->unserved_ms;
}
