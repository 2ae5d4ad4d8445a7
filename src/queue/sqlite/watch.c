/*
 * sqlite_watch: tells the watcher what was committed, on a thread of its own, so that a watcher may take locks
 * that callers of the store hold.  It is woken at the commit and waits for the flush itself: an end is told when it
 * is on the disk, and then at once.  Who waits for a result is told before that, so that it is read meanwhile.
 */
#include "queue/sqlite/internal.h"

#include <stdlib.h>

static void *watch_loop(void *context)
{
    struct sqlite_store *store = context;
    struct sqlite_event *events = NULL;
    size_t events_cap = 0;

    (void)pthread_mutex_lock(&store->lock);
    while (true) {
        while (store->told_len == 0 && !store->watch_ends)
            (void)pthread_cond_wait(&store->watch_wakeup, &store->lock);
        if (store->told_len == 0)
            break;
        /* Swap the two lists, so that commits go on while the watcher is told. */
        struct sqlite_event *batch = store->told;
        size_t batch_len = store->told_len, batch_cap = store->told_cap;
        store->told = events;
        store->told_len = 0;
        store->told_cap = events_cap;
        (void)pthread_mutex_unlock(&store->lock);

        for (size_t i = 0; i < batch_len && store->end_watcher != NULL; i++)
            if (batch[i].promise != 0)
                store->end_watcher(store->end_context, batch[i].token, NULL);
        for (size_t i = 0; i < batch_len; i++) {
            struct error ignored; /* whoever promised it says so; what is told here is read again before it is shown */
            if (batch[i].promise != 0)
                (void)sqlite_promise_keep(store, batch[i].promise, &ignored);
            store->watcher(store->watcher_context, batch[i].token, batch[i].state, batch[i].cancelled);
        }

        events = batch;
        events_cap = batch_cap;
        (void)pthread_mutex_lock(&store->lock);
    }
    (void)pthread_mutex_unlock(&store->lock);
    free(events);
    return NULL;
}

int sqlite_watch(struct store *base, store_watcher *watcher, void *context, struct error *err)
{
    struct sqlite_store *store = sqlite_of(base);
    if (store->watcher != NULL)
        return error_set(err, ERROR_BUG, 0, "the store has a watcher already");
    store->watcher_context = context;
    store->watcher = watcher;
    int os = pthread_create(&store->watch_thread, NULL, watch_loop, store);
    if (os != 0) {
        store->watcher = NULL;
        return error_set(err, ERROR_SETUP, os, "start the store's watch thread");
    }
    return 0;
}

void sqlite_watch_ends(struct store *base, store_end_watcher *watcher, void *context)
{
    struct sqlite_store *store = sqlite_of(base);
    store->end_context = context;
    store->end_watcher = watcher;
}

void sqlite_watch_end(struct sqlite_store *store)
{
    if (store->watcher == NULL)
        return;
    (void)pthread_mutex_lock(&store->lock);
    store->watch_ends = true;
    (void)pthread_cond_signal(&store->watch_wakeup);
    (void)pthread_mutex_unlock(&store->lock);
    (void)pthread_join(store->watch_thread, NULL);
    store->watcher = NULL;
}
