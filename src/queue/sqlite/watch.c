/*
 * sqlite/watch: a thread that passes committed events to the watchers, so that a watcher may take locks that callers of
 * the store hold.
 *
 * A commit wakes the thread.  The result watcher is called at once, so that its work overlaps with the flush.  The
 * watcher hears of a final state once that is durable.
 */
#include "queue/sqlite/sqlite_store.h"

#include <stdlib.h>

#include "base/sync.h"

static void *watch_main(void *context)
{
    struct sqlite_store *store = context;
    struct sqlite_event *events = NULL;
    size_t events_cap = 0;

    mutex_lock(&store->lock);
    while (true) {
        while (store->notify_len == 0 && !store->watch_stops)
            cond_wait(&store->watch_wakeup, &store->lock);
        if (store->notify_len == 0)
            break;
        /* Swap the two lists, so that commits continue while the watchers run. */
        struct sqlite_event *batch = store->notify;
        size_t batch_len = store->notify_len, batch_cap = store->notify_cap;
        store->notify = events;
        store->notify_len = 0;
        store->notify_cap = events_cap;
        mutex_unlock(&store->lock);

        for (size_t i = 0; i < batch_len && store->result_watcher != NULL; i++)
            if (batch[i].commit_number != 0)
                store->result_watcher(store->result_context, batch[i].token, NULL);
        for (size_t i = 0; i < batch_len; i++) {
            struct error ignored; /* the caller of the finish reports it; the state is read again before it is shown */
            if (batch[i].commit_number != 0)
                (void)sqlite_wait_durable(store, batch[i].commit_number, &ignored);
            store->watcher(store->watcher_context, batch[i].token, batch[i].state, batch[i].cancelled);
        }

        events = batch;
        events_cap = batch_cap;
        mutex_lock(&store->lock);
    }
    mutex_unlock(&store->lock);
    free(events);
    return NULL;
}

int sqlite_watch(struct store *base, store_watcher *watcher, void *context, struct error *err)
{
    struct sqlite_store *store = sqlite_of(base);
    if (store->watcher != NULL)
        return error_set(err, ERROR_BUG, 0, "the store already has a watcher");
    store->watcher_context = context;
    store->watcher = watcher;
    if (thread_start(&store->watch_thread, "sqlite-watch", watch_main, store, err) < 0) {
        store->watcher = NULL;
        return -1;
    }
    return 0;
}

void sqlite_watch_results(struct store *base, store_result_watcher *watcher, void *context)
{
    struct sqlite_store *store = sqlite_of(base);
    store->result_context = context;
    store->result_watcher = watcher;
}

void sqlite_watch_stop(struct sqlite_store *store)
{
    if (store->watcher == NULL)
        return;
    mutex_lock(&store->lock);
    store->watch_stops = true;
    cond_signal(&store->watch_wakeup);
    mutex_unlock(&store->lock);
    thread_join(store->watch_thread);
    store->watcher = NULL;
}
