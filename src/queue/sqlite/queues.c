/*
 * sqlite/queues: counts of waiting and running submissions by queue and client, kept in memory.
 *
 * They are counted from the rows when the store opens.  From then on every change of a row changes its count, too.  The
 * journal undoes the changes of a failed op or transaction.
 */
#include "queue/sqlite/sqlite_store.h"

#include <assert.h>
#include <stdlib.h>

#include "base/sync.h"

void *sqlite_grow(void *array, size_t len, size_t *cap, size_t bytes_each)
{
    if (len < *cap)
        return array;
    *cap = *cap == 0 ? 16 : *cap * 2;
    void *bigger = realloc(array, *cap * bytes_each);
    if (bigger == NULL)
        abort();
    return bigger;
}

size_t sqlite_queue(struct sqlite_store *store, const char *name)
{
    lock_guard(&store->lock);
    size_t i = 0;
    while (i < store->queues_len && strcmp(store->queues[i].name, name) != 0)
        i++;
    if (i == store->queues_len) {
        store->queues = sqlite_grow(store->queues, store->queues_len, &store->queues_cap, sizeof *store->queues);
        store->queues[i] = (struct sqlite_queue){ 0 };
        (void)snprintf(store->queues[i].name, sizeof store->queues[i].name, "%s", name);
        store->queues_len++;
    }
    return i;
}

static void change_one(uint64_t *count, int by)
{
    assert(by >= 0 || *count >= (uint64_t)-by);
    *count += (uint64_t)(int64_t)by;
}

static void change_bytes(uint64_t *bytes, int64_t by)
{
    assert(by >= 0 || *bytes >= (uint64_t)-by);
    *bytes += (uint64_t)by;
}

/* With `lock` held.  `sign` is 1, or -1 to undo the change. */
static void apply_change(struct sqlite_store *store, const struct sqlite_count_delta *change, int sign)
{
    if (store->queues_len > 0) { /* there may be none when old results expire */
        struct sqlite_queue *queue = &store->queues[change->queue];
        change_one(&queue->waiting[change->priority], sign * change->waiting);
        change_one(&queue->parked[change->priority], sign * change->parked);
        change_one(&queue->running, sign * change->running);
    }
    change_bytes(&store->queue_bytes, sign * change->queue_bytes);
    change_bytes(&store->results_bytes, sign * change->results_bytes);
    if (change->client == 0)
        return;
    change_one(&store->clients[change->client].waiting, sign * change->client_waiting);
    change_one(&store->clients[change->client].active, sign * change->client_active);
    change_bytes(&store->clients[change->client].queue_bytes, sign * change->queue_bytes);
    change_bytes(&store->clients[change->client].results_bytes, sign * change->results_bytes);
}

void sqlite_count(struct sqlite_store *store, const struct sqlite_count_delta *change)
{
    lock_guard(&store->lock);
    apply_change(store, change, 1);
    store->journal = sqlite_grow(store->journal, store->journal_len, &store->journal_cap, sizeof *store->journal);
    store->journal[store->journal_len++] = *change;
}

void sqlite_note_event(struct sqlite_store *store, const char *token, enum submission_state state, bool cancelled)
{
    store->new_events =
        sqlite_grow(store->new_events, store->new_events_len, &store->new_events_cap, sizeof *store->new_events);
    struct sqlite_event *event = &store->new_events[store->new_events_len++];
    *event = (struct sqlite_event){ .state = state, .cancelled = cancelled };
    event->commit_number = submission_state_is_final(state) ? store->commit_number : 0;
    (void)snprintf(event->token, sizeof event->token, "%s", token);
}

struct sqlite_mark sqlite_mark(struct sqlite_store *store)
{
    return (struct sqlite_mark){ store->journal_len, store->new_events_len };
}

void sqlite_rollback_to(struct sqlite_store *store, struct sqlite_mark mark)
{
    lock_guard(&store->lock);
    while (store->journal_len > mark.journal_len)
        apply_change(store, &store->journal[--store->journal_len], -1);
    store->new_events_len = mark.new_events_len;
}

void sqlite_committed(struct sqlite_store *store)
{
    lock_guard(&store->lock);
    store->journal_len = 0;
    if (store->watcher != NULL && store->new_events_len > 0) {
        for (size_t i = 0; i < store->new_events_len; i++) {
            store->notify = sqlite_grow(store->notify, store->notify_len, &store->notify_cap, sizeof *store->notify);
            store->notify[store->notify_len++] = store->new_events[i];
        }
        cond_signal(&store->watch_wakeup);
    }
    store->new_events_len = 0;
    sqlite_wake_claimers(store);
}

uint64_t sqlite_waiting(struct sqlite_store *store)
{
    uint64_t waiting = 0;
    lock_guard(&store->lock);
    for (size_t i = 0; i < store->queues_len; i++)
        for (int priority = 0; priority < PRIORITY_COUNT_; priority++)
            waiting += store->queues[i].waiting[priority] + store->queues[i].parked[priority];
    return waiting;
}
