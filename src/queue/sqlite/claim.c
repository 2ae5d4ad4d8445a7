/*
 * sqlite/claim: claims, and waking those that wait.
 *
 * A claim takes the oldest head among the queues it asked for, priority by priority: high, normal, low; but every 8th
 * claim starts with low and every 4th with normal, so that nothing starves.  Claims are counted for each set of queues:
 * otherwise two kinds of workers that alternate could take each other's turns.
 *
 * Claimers to wake for a queue = waiting submissions minus claimers already woken for them.  They are woken after every
 * commit, and after every woken claimer has claimed, whatever it got.  So no wake-up is lost, and one submission wakes
 * one claimer.
 */
#include "queue/sqlite/sqlite_store.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/sync.h"

#define NO_QUEUE SIZE_MAX

/* The first submission of one queue and priority. */
struct head {
    bool is_known;
    int64_t seq; /* 0: the queue is empty */
    int64_t attempt, queued, lost;
    char token[TOKEN_BYTES];
    size_t queue, client;
};

struct claim_op {
    const struct store_worker *worker;
    size_t max;
    struct store_claim *claims;
    size_t len;
};

static bool worker_takes(const struct store_worker *worker, const char *queue)
{
    for (const char *const *at = worker->queues; *at != NULL; at++)
        if (strcmp(*at, queue) == 0)
            return true;
    return false;
}

static uint64_t queue_waiting(const struct sqlite_queue *queue)
{
    uint64_t waiting = 0;
    for (int priority = 0; priority < PRIORITY_COUNT_; priority++)
        waiting += queue->waiting[priority];
    return waiting;
}

/* The counter of this set of queues, found by the sum of their FNV-1a hashes, so that their order does not matter. */
static uint64_t *turn_of(struct sqlite_store *store, const struct store_worker *worker)
{
    uint64_t set = 0;
    for (const char *const *queue = worker->queues; *queue != NULL; queue++) {
        uint64_t hash = 14695981039346656037u;
        for (const char *at = *queue; *at != '\0'; at++)
            hash = (hash ^ (unsigned char)*at) * 1099511628211u;
        set += hash;
    }
    set ^= set >> 32;
    return &store->turns[set % (sizeof store->turns / sizeof *store->turns)];
}

/* The first submission of the queue that the filter passes; NULL passes all. */
static int read_head(struct sqlite_store *store, const struct store_filter *filter, size_t queue,
                     enum submission_priority priority, struct head *ret, struct error *err)
{
    sqlite3_stmt *head = sqlite_bind(&store->writer, QUERY_HEADS, err, "tii", store->queues[queue].name,
                                     (int64_t)priority, (int64_t)(filter != NULL ? STORE_LOOK_MAX : 1));
    int got = sqlite_step(head, err);
    while (got == 1 && filter != NULL &&
           !store_filter_passes(filter, (const char *)sqlite3_column_text(head, 5), priority))
        got = sqlite_step(head, err);
    if (got < 0)
        return -1;
    *ret = (struct head){ .is_known = true };
    if (got == 0)
        return 0;
    ret->seq = sqlite3_column_int64(head, 0);
    ret->attempt = sqlite3_column_int64(head, 2);
    ret->queued = sqlite3_column_int64(head, 3);
    ret->lost = sqlite3_column_int64(head, 7);
    ret->queue = queue;
    ret->client = sqlite_client(store, (const char *)sqlite3_column_text(head, 5));
    (void)snprintf(ret->token, sizeof ret->token, "%s", (const char *)sqlite3_column_text(head, 1));
    (void)sqlite3_reset(head);
    return 0;
}

/* The oldest head of one priority in the queues asked for; *ret NULL: there is none. */
static int find_head(struct sqlite_store *store, const struct store_worker *worker, struct head heads[],
                     enum submission_priority priority, struct head **ret, struct error *err)
{
    *ret = NULL;
    if (worker->filter != NULL && worker->filter->without[priority])
        return 0;
    for (size_t i = 0; i < store->queues_len;
         i++) { /* no lock: only the leader changes queues, and this runs on the leader */
        struct head *head = &heads[i * PRIORITY_COUNT_ + priority];
        if (store->queues[i].waiting[priority] == 0 || !worker_takes(worker, store->queues[i].name))
            continue;
        if (!head->is_known && read_head(store, worker->filter, i, priority, head, err) < 0)
            return -1;
        if (head->seq != 0 && (*ret == NULL || head->seq < (*ret)->seq))
            *ret = head;
    }
    return 0;
}

static int read_payload(struct sqlite_store *store, int64_t seq, struct buf *ret, struct error *err)
{
    sqlite3_stmt *payload = sqlite_bind(&store->writer, QUERY_PAYLOAD, err, "i", seq);
    int got = sqlite_step(payload, err);
    if (got < 0)
        return -1;
    if (got == 0)
        return sqlite_damaged(store->file, "a submission without its payload", err);
    size_t len = (size_t)sqlite3_column_bytes(payload, 0);
    const void *body = sqlite3_column_blob(payload, 0);
    buf_init(ret, len + 1);
    int result = len > 0 ? buf_append(ret, body, len, err) : 0;
    (void)sqlite3_reset(payload);
    return result;
}

static int take(struct sqlite_store *store, const struct claim_op *op, const struct head *head,
                enum submission_priority priority, struct store_claim *claim, struct error *err)
{
    uint64_t now = clock_wall_ms();
    int64_t lease = (int64_t)(clock_mono_us() / 1000 + store->lease_ms);
    *claim = (struct store_claim){ .attempt = (uint32_t)head->attempt + 1, .lost = (uint32_t)head->lost };
    claim->waited_ms = now > (uint64_t)head->queued ? now - (uint64_t)head->queued : 0;
    (void)snprintf(claim->token, sizeof claim->token, "%s", head->token);
    if (read_payload(store, head->seq, &claim->payload, err) < 0 ||
        sqlite_run(&store->writer, QUERY_TAKE, err, "iiit", head->seq, (int64_t)now, lease, op->worker->name) < 0) {
        store_claim_done(claim);
        return -1;
    }
    sqlite_count(store, &(struct sqlite_count_delta){ .queue = head->queue,
                                                      .priority = priority,
                                                      .waiting = -1,
                                                      .running = 1,
                                                      .client = head->client,
                                                      .client_waiting = -1 });
    sqlite_note_event(store, head->token, SUBMISSION_PROCESSING, false);
    return 0;
}

static int apply_claim(struct sqlite_store *store, void *what, struct error *err)
{
    struct claim_op *op = what;
    uint64_t *turn = turn_of(store, op->worker);
    /* By queue and priority.  Taking a submission changes one head; the others need not be read again. */
    auto_free struct head *heads = calloc(store->queues_len * PRIORITY_COUNT_ + 1, sizeof *heads);
    if (heads == NULL)
        return error_set(err, ERROR_STORE, ENOMEM, "claim");
    if (sqlite_results_full(store))
        return 0;
    while (op->len < op->max) {
        const enum submission_priority *priorities = submission_priority_order(*turn);
        struct head *head = NULL;
        int i = 0;
        for (; i < PRIORITY_COUNT_ && head == NULL; i++)
            if (find_head(store, op->worker, heads, priorities[i], &head, err) < 0)
                return -1;
        if (head == NULL)
            return 0;
        if (take(store, op, head, priorities[i - 1], &op->claims[op->len], err) < 0)
            return -1;
        head->is_known = false;
        op->len++;
        (*turn)++;
    }
    return 0;
}

static int claim_now(struct sqlite_store *store, struct claim_op *op, struct error *err)
{
    struct sqlite_op commit = { .apply = apply_claim, .what = op };
    if (sqlite_commit(store, &commit, err) == 0)
        return 0;
    while (op->len > 0)
        store_claim_done(&op->claims[--op->len]);
    return -1;
}

/* With `lock` held: the claimer that has waited longest for this queue and was not woken yet. */
static struct sqlite_waiter *next_waiter(struct sqlite_store *store, const char *queue)
{
    for (struct sqlite_waiter *waiter = store->waiters; waiter != NULL; waiter = waiter->next)
        if (waiter->woken_for == NO_QUEUE && !waiter->is_woken && worker_takes(waiter->worker, queue))
            return waiter;
    return NULL;
}

void sqlite_wake_claimers(struct sqlite_store *store)
{
    if (sqlite_results_full(store))
        return; /* every commit comes here, also the one that deletes expired results */
    for (size_t i = 0; i < store->queues_len && store->waiters != NULL; i++) {
        struct sqlite_queue *queue = &store->queues[i];
        while (queue_waiting(queue) > queue->woken) {
            struct sqlite_waiter *waiter = next_waiter(store, queue->name);
            if (waiter == NULL)
                break;
            waiter->woken_for = i;
            queue->woken++;
            cond_signal(&waiter->wakeup);
        }
    }
}

/* With `lock` held: does a submission wait that no claimer was woken for? */
static bool has_unclaimed(const struct sqlite_store *store, const struct store_worker *worker)
{
    if (sqlite_results_full(store))
        return false;
    for (size_t i = 0; i < store->queues_len; i++)
        if (queue_waiting(&store->queues[i]) > store->queues[i].woken && worker_takes(worker, store->queues[i].name))
            return true;
    return false;
}

static void add_waiter(struct sqlite_store *store, struct sqlite_waiter *waiter)
{
    cond_init(&waiter->wakeup);
    struct sqlite_waiter **at = &store->waiters;
    while (*at != NULL)
        at = &(*at)->next;
    *at = waiter;
}

static void remove_waiter(struct sqlite_store *store, struct sqlite_waiter *waiter)
{
    struct sqlite_waiter **at = &store->waiters;
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    (void)pthread_cond_destroy(&waiter->wakeup);
}

/* Waits until woken or the deadline.  Returns the queue it was woken for, or NO_QUEUE.  *ret_claim: claim again. */
static size_t wait_for_wakeup(struct sqlite_store *store, const struct store_worker *worker, uint64_t deadline_us,
                              bool *ret_claim)
{
    struct sqlite_waiter waiter = { .worker = worker, .woken_for = NO_QUEUE };
    lock_guard(&store->lock);
    if (store->wake_is_pending) {
        store->wake_is_pending = false;
        *ret_claim = false;
        return NO_QUEUE;
    }
    bool unclaimed = has_unclaimed(store, worker);
    if (!unclaimed) {
        add_waiter(store, &waiter);
        while (waiter.woken_for == NO_QUEUE && !waiter.is_woken)
            if (!cond_wait_until(&waiter.wakeup, &store->lock, deadline_us))
                break;
        remove_waiter(store, &waiter);
    }
    *ret_claim = unclaimed || waiter.woken_for != NO_QUEUE;
    return waiter.woken_for;
}

/* The claimer that was woken for this queue has claimed. */
static void wakeup_done(struct sqlite_store *store, size_t queue)
{
    if (queue == NO_QUEUE)
        return;
    lock_guard(&store->lock);
    assert(store->queues[queue].woken > 0);
    store->queues[queue].woken--;
    sqlite_wake_claimers(store);
}

int sqlite_claim(struct store *base, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                 struct store_claim ret_claims[], size_t *ret_len, struct error *err)
{
    struct sqlite_store *store = sqlite_of(base);
    struct claim_op op = { .worker = worker, .max = max, .claims = ret_claims };
    uint64_t deadline_us = sync_now_us() + wait_ms * UINT64_C(1000);

    assert(worker->filter == NULL || wait_ms == 0);
    mutex_lock(&store->lock);
    bool claim = has_unclaimed(store, worker);
    mutex_unlock(&store->lock);
    size_t queue = NO_QUEUE;
    while (max > 0) {
        int claimed = claim ? claim_now(store, &op, err) : 0;
        wakeup_done(store, queue);
        if (claimed < 0)
            return -1;
        if (op.len > 0 || worker->filter != NULL)
            break;
        queue = wait_for_wakeup(store, worker, deadline_us, &claim);
        if (!claim)
            break;
    }
    *ret_len = op.len;
    return 0;
}

void sqlite_wake(struct store *base)
{
    struct sqlite_store *store = sqlite_of(base);
    lock_guard(&store->lock);
    store->wake_is_pending = store->waiters == NULL; /* for a claimer that is about to wait */
    for (struct sqlite_waiter *waiter = store->waiters; waiter != NULL; waiter = waiter->next) {
        waiter->is_woken = true;
        cond_signal(&waiter->wakeup);
    }
}
