/*
 * sqlite_claim: handing out, and waking who waits for it.
 *
 * Which one: of the asked lanes within a priority that whose head is the oldest.  High, normal, low; but every 8th
 * claim starts from the lowest and every 4th from normal, so that nothing starves (promise 7).  Claims are counted by
 * the set of lanes asked for: were they counted together, two kinds of workers in step could take each other's turns.
 *
 * Waking: a lane's submissions that wait, less those some woken claimer is on its way to ("woken"), is how many
 * bells are to be rung.  sqlite_wake_one is called after every commit and after every claimer that was woken
 * has looked, whatever it found; so a promise is never lost, and one submission wakes one claimer.
 */
#include "queue/sqlite/sqlite_store.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define NO_QUEUE SIZE_MAX

/* The front of one lane's queue of one priority. */
struct head {
    bool is_known;
    int64_t seq; /* 0: nothing waits there */
    int64_t attempt, queued;
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

/* The counter of this set of lanes: the sum of their hashes, so that their order does not matter (FNV-1a). */
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

static const enum submission_priority *priority_order(uint64_t turn)
{
    static const enum submission_priority usual[] = { PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW };
    static const enum submission_priority fourth[] = { PRIORITY_NORMAL, PRIORITY_HIGH, PRIORITY_LOW };
    static const enum submission_priority eighth[] = { PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH };
    static_assert(PRIORITY_COUNT_ == 3, "every priority has its place in each order");
    return turn % 8 == 7 ? eighth : turn % 4 == 3 ? fourth : usual;
}

static int read_head(struct sqlite_store *store, size_t queue, enum submission_priority priority, struct head *ret,
                     struct error *err)
{
    sqlite3_stmt *head =
        sqlite_bind(&store->writer, QUERY_HEAD, err, "ti", store->queues[queue].name, (int64_t)priority);
    int got = head != NULL ? sqlite_step(head, err) : -1;
    if (got < 0)
        return -1;
    *ret = (struct head){ .is_known = true };
    if (got == 0)
        return 0;
    ret->seq = sqlite3_column_int64(head, 0);
    ret->attempt = sqlite3_column_int64(head, 2);
    ret->queued = sqlite3_column_int64(head, 3);
    ret->queue = queue;
    ret->client = sqlite_client(store, (const char *)sqlite3_column_text(head, 5));
    (void)snprintf(ret->token, sizeof ret->token, "%s", (const char *)sqlite3_column_text(head, 1));
    (void)sqlite3_reset(head);
    return 0;
}

/* The oldest of one priority in the asked lanes; *ret NULL: there is none. */
static int find_head(struct sqlite_store *store, const struct store_worker *worker, struct head heads[],
                     enum submission_priority priority, struct head **ret, struct error *err)
{
    *ret = NULL;
    for (size_t i = 0; i < store->queues_len; i++) { /* only leaders add lanes or change counts, and we lead */
        struct head *head = &heads[i * PRIORITY_COUNT_ + priority];
        if (store->queues[i].waiting[priority] == 0 || !worker_takes(worker, store->queues[i].name))
            continue;
        if (!head->is_known && read_head(store, i, priority, head, err) < 0)
            return -1;
        if (head->seq != 0 && (*ret == NULL || head->seq < (*ret)->seq))
            *ret = head;
    }
    return 0;
}

static int read_payload(struct sqlite_store *store, int64_t seq, struct buf *ret, struct error *err)
{
    sqlite3_stmt *payload = sqlite_bind(&store->writer, QUERY_PAYLOAD, err, "i", seq);
    int got = payload != NULL ? sqlite_step(payload, err) : -1;
    if (got < 0)
        return -1;
    if (got == 0)
        return error_set(err, ERROR_STORE, 0, "%s is damaged: a submission without its payload", store->file);
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
    *claim = (struct store_claim){ .attempt = (uint32_t)head->attempt + 1 };
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
    /* By lane and priority: what is taken changes one of them, the others are not asked for again. */
    auto_free struct head *heads = calloc(store->queues_len * PRIORITY_COUNT_ + 1, sizeof *heads);
    if (heads == NULL)
        return error_set(err, ERROR_STORE, ENOMEM, "claim");
    while (op->len < op->max) {
        const enum submission_priority *priorities = priority_order(*turn);
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

/* With `lock` held: somebody in this lane who waits and is not on its way yet, longest first. */
static struct sqlite_waiter *next_waiter(struct sqlite_store *store, const char *queue)
{
    for (struct sqlite_waiter *waiter = store->waiters; waiter != NULL; waiter = waiter->next)
        if (waiter->woken_for == NO_QUEUE && !waiter->is_woken && worker_takes(waiter->worker, queue))
            return waiter;
    return NULL;
}

void sqlite_wake_one(struct sqlite_store *store)
{
    for (size_t i = 0; i < store->queues_len && store->waiters != NULL; i++) {
        struct sqlite_queue *queue = &store->queues[i];
        while (queue_waiting(queue) > queue->woken) {
            struct sqlite_waiter *waiter = next_waiter(store, queue->name);
            if (waiter == NULL)
                break;
            waiter->woken_for = i;
            queue->woken++;
            (void)pthread_cond_signal(&waiter->wakeup);
        }
    }
}

/* With `lock` held. */
static bool has_unclaimed(const struct sqlite_store *store, const struct store_worker *worker)
{
    for (size_t i = 0; i < store->queues_len; i++)
        if (queue_waiting(&store->queues[i]) > store->queues[i].woken && worker_takes(worker, store->queues[i].name))
            return true;
    return false;
}

static void join_waiters(struct sqlite_store *store, struct sqlite_waiter *waiter)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&waiter->wakeup, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    struct sqlite_waiter **at = &store->waiters;
    while (*at != NULL)
        at = &(*at)->next;
    *at = waiter;
}

static void leave_waiters(struct sqlite_store *store, struct sqlite_waiter *waiter)
{
    struct sqlite_waiter **at = &store->waiters;
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    (void)pthread_cond_destroy(&waiter->wakeup);
}

/* Until rung, woken or the deadline.  Returns the lane it was rung for, or NO_QUEUE; *ret_look: look once more. */
static size_t wait_for_wakeup(struct sqlite_store *store, const struct store_worker *worker,
                              const struct timespec *deadline, bool *ret_look)
{
    struct sqlite_waiter waiter = { .worker = worker, .woken_for = NO_QUEUE };
    (void)pthread_mutex_lock(&store->lock);
    if (store->wake_is_pending) {
        store->wake_is_pending = false;
        (void)pthread_mutex_unlock(&store->lock);
        *ret_look = false;
        return NO_QUEUE;
    }
    bool unclaimed = has_unclaimed(store, worker);
    if (!unclaimed) {
        join_waiters(store, &waiter);
        while (waiter.woken_for == NO_QUEUE && !waiter.is_woken)
            if (pthread_cond_timedwait(&waiter.wakeup, &store->lock, deadline) == ETIMEDOUT)
                break;
        leave_waiters(store, &waiter);
    }
    (void)pthread_mutex_unlock(&store->lock);
    *ret_look = unclaimed || waiter.woken_for != NO_QUEUE;
    return waiter.woken_for;
}

static void wakeup_done(struct sqlite_store *store, size_t queue)
{
    if (queue == NO_QUEUE)
        return;
    (void)pthread_mutex_lock(&store->lock);
    assert(store->queues[queue].woken > 0);
    store->queues[queue].woken--;
    sqlite_wake_one(store);
    (void)pthread_mutex_unlock(&store->lock);
}

int sqlite_claim(struct store *base, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                 struct store_claim ret_claims[], size_t *ret_len, struct error *err)
{
    struct sqlite_store *store = sqlite_of(base);
    struct claim_op op = { .worker = worker, .max = max, .claims = ret_claims };
    struct timespec deadline;
    (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += wait_ms / 1000;
    deadline.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }

    (void)pthread_mutex_lock(&store->lock);
    bool look = has_unclaimed(store, worker);
    (void)pthread_mutex_unlock(&store->lock);
    size_t queue = NO_QUEUE;
    while (max > 0) {
        int claimed = look ? claim_now(store, &op, err) : 0;
        wakeup_done(store, queue);
        if (claimed < 0)
            return -1;
        if (op.len > 0)
            break;
        queue = wait_for_wakeup(store, worker, &deadline, &look);
        if (!look)
            break;
    }
    *ret_len = op.len;
    return 0;
}

void sqlite_wake(struct store *base)
{
    struct sqlite_store *store = sqlite_of(base);
    (void)pthread_mutex_lock(&store->lock);
    /* A claimer that is just about to wait must not miss it. */
    store->wake_is_pending = store->waiters == NULL;
    for (struct sqlite_waiter *waiter = store->waiters; waiter != NULL; waiter = waiter->next) {
        waiter->is_woken = true;
        (void)pthread_cond_signal(&waiter->wakeup);
    }
    (void)pthread_mutex_unlock(&store->lock);
}
