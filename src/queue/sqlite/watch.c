/*
 * sqlite_watch: tells the watcher what was committed, on a thread of its own, so that a watcher may take locks
 * that callers of the store hold.  It is woken at the commit and waits for the flush itself: an end is told when it
 * is on the disk, and then at once.  Who waits for a result is told before that, so that it is read meanwhile.
 */
#include "queue/sqlite/sqlite_store.h"

#include <stdlib.h>

static void *watch_loop(void *context)
{
    struct sqlite_store *store = context;
    struct sqlite_event *events = NULL;
    size_t events_cap = 0;

    (void)pthread_mutex_lock(&store->lock);
    while (true) {
        while (store->notify_len == 0 && !store->watch_stops)
            (void)pthread_cond_wait(&store->watch_wakeup, &store->lock);
        if (store->notify_len == 0)
            break;
        /* Swap the two lists, so that commits go on while the watcher is told. */
        struct sqlite_event *batch = store->notify;
        size_t batch_len = store->notify_len, batch_cap = store->notify_cap;
        store->notify = events;
        store->notify_len = 0;
        store->notify_cap = events_cap;
        (void)pthread_mutex_unlock(&store->lock);

        for (size_t i = 0; i < batch_len && store->result_watcher != NULL; i++)
            if (batch[i].commit_number != 0)
                store->result_watcher(store->result_context, batch[i].token, NULL);
        for (size_t i = 0; i < batch_len; i++) {
            struct error ignored; /* whoever woken it says so; what is told here is read again before it is shown */
            if (batch[i].commit_number != 0)
                (void)sqlite_flush_commit(store, batch[i].commit_number, &ignored);
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
    (void)pthread_mutex_lock(&store->lock);
    store->watch_stops = true;
    (void)pthread_cond_signal(&store->watch_wakeup);
    (void)pthread_mutex_unlock(&store->lock);
    (void)pthread_join(store->watch_thread, NULL);
    store->watcher = NULL;
}
