/*
 * sqlite_claim: handing out, and waking who waits for it.
 *
 * Which one: of the asked lanes within a priority that whose head is the oldest.  High, normal, low; but every 8th
 * claim starts from the lowest and every 4th from normal, so that nothing starves (promise 7).  Claims are counted by
 * the set of lanes asked for: were they counted together, two kinds of workers in step could take each other's turns.
 *
 * Waking: a lane's submissions that wait, less those some woken claimer is on its way to ("promised"), is how many
 * bells are to be rung.  sqlite_ring is called after every commit and after every claimer that was woken
 * has looked, whatever it found; so a promise is never lost, and one submission wakes one claimer.
 */
#include "store/sqlite_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/scope.h"

#define NO_LANE SIZE_MAX

/* The front of one lane's queue of one priority. */
struct head {
    bool is_known;
    int64_t seq; /* 0: nothing waits there */
    int64_t attempt, queued;
    char token[TOKEN_BYTES];
    size_t lane, client;
};

struct claim_order {
    const struct store_worker *worker;
    size_t max;
    struct store_claim *claims;
    size_t len;
};

static bool worker_takes(const struct store_worker *worker, const char *lane)
{
    for (const char *const *at = worker->lanes; *at != NULL; at++)
        if (strcmp(*at, lane) == 0)
            return true;
    return false;
}

static uint64_t lane_waiting(const struct sqlite_lane *lane)
{
    uint64_t waiting = 0;
    for (int priority = 0; priority < PRIORITY_COUNT_; priority++)
        waiting += lane->waiting[priority];
    return waiting;
}

/* The counter of this set of lanes: the sum of their hashes, so that their order does not matter (FNV-1a). */
static uint64_t *turn_of(struct sqlite_store *store, const struct store_worker *worker)
{
    uint64_t set = 0;
    for (const char *const *lane = worker->lanes; *lane != NULL; lane++) {
        uint64_t hash = 14695981039346656037u;
        for (const char *at = *lane; *at != '\0'; at++)
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

static int read_head(struct sqlite_store *store, size_t lane, enum submission_priority priority, struct head *ret,
                     struct error *err)
{
    sqlite3_stmt *head = sqlite_bind(&store->writer, QUERY_HEAD, err, "ti", store->lanes[lane].name, (int64_t)priority);
    int got = head != NULL ? sqlite_step(head, err) : -1;
    if (got < 0)
        return -1;
    *ret = (struct head){ .is_known = true };
    if (got == 0)
        return 0;
    ret->seq = sqlite3_column_int64(head, 0);
    ret->attempt = sqlite3_column_int64(head, 2);
    ret->queued = sqlite3_column_int64(head, 3);
    ret->lane = lane;
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
    for (size_t i = 0; i < store->lanes_len; i++) { /* only leaders add lanes or change counts, and we lead */
        struct head *head = &heads[i * PRIORITY_COUNT_ + priority];
        if (store->lanes[i].waiting[priority] == 0 || !worker_takes(worker, store->lanes[i].name))
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

static int take(struct sqlite_store *store, const struct claim_order *order, const struct head *head,
                enum submission_priority priority, struct store_claim *claim, struct error *err)
{
    uint64_t now = clock_wall_ms();
    int64_t lease = (int64_t)(clock_mono_us() / 1000 + store->lease_ms);
    *claim = (struct store_claim){ .attempt = (uint32_t)head->attempt + 1 };
    claim->waited_ms = now > (uint64_t)head->queued ? now - (uint64_t)head->queued : 0;
    (void)snprintf(claim->token, sizeof claim->token, "%s", head->token);
    if (read_payload(store, head->seq, &claim->payload, err) < 0 ||
        sqlite_run(&store->writer, QUERY_TAKE, err, "iiit", head->seq, (int64_t)now, lease, order->worker->name) < 0) {
        store_claim_done(claim);
        return -1;
    }
    sqlite_count(store, &(struct sqlite_change){ .lane = head->lane,
                                                 .priority = priority,
                                                 .waiting = -1,
                                                 .running = 1,
                                                 .client = head->client,
                                                 .client_waiting = -1 });
    sqlite_tell(store, head->token, SUBMISSION_PROCESSING, false);
    return 0;
}

static int apply_claim(struct sqlite_store *store, void *what, struct error *err)
{
    struct claim_order *order = what;
    uint64_t *turn = turn_of(store, order->worker);
    /* By lane and priority: what is taken changes one of them, the others are not asked for again. */
    auto_free struct head *heads = calloc(store->lanes_len * PRIORITY_COUNT_ + 1, sizeof *heads);
    if (heads == NULL)
        return error_set(err, ERROR_STORE, ENOMEM, "claim");
    while (order->len < order->max) {
        const enum submission_priority *priorities = priority_order(*turn);
        struct head *head = NULL;
        int i = 0;
        for (; i < PRIORITY_COUNT_ && head == NULL; i++)
            if (find_head(store, order->worker, heads, priorities[i], &head, err) < 0)
                return -1;
        if (head == NULL)
            return 0;
        if (take(store, order, head, priorities[i - 1], &order->claims[order->len], err) < 0)
            return -1;
        head->is_known = false;
        order->len++;
        (*turn)++;
    }
    return 0;
}

static int claim_now(struct sqlite_store *store, struct claim_order *order, struct error *err)
{
    struct sqlite_order commit = { .apply = apply_claim, .what = order };
    if (sqlite_commit(store, &commit, err) == 0)
        return 0;
    while (order->len > 0)
        store_claim_done(&order->claims[--order->len]);
    return -1;
}

/* With `lock` held: somebody in this lane who waits and is not on its way yet, longest first. */
static struct sqlite_waiter *next_waiter(struct sqlite_store *store, const char *lane)
{
    for (struct sqlite_waiter *waiter = store->waiters; waiter != NULL; waiter = waiter->next)
        if (waiter->promised_lane == NO_LANE && !waiter->is_woken && worker_takes(waiter->worker, lane))
            return waiter;
    return NULL;
}

void sqlite_ring(struct sqlite_store *store)
{
    for (size_t i = 0; i < store->lanes_len && store->waiters != NULL; i++) {
        struct sqlite_lane *lane = &store->lanes[i];
        while (lane_waiting(lane) > lane->promised) {
            struct sqlite_waiter *waiter = next_waiter(store, lane->name);
            if (waiter == NULL)
                break;
            waiter->promised_lane = i;
            lane->promised++;
            (void)pthread_cond_signal(&waiter->bell);
        }
    }
}

/* With `lock` held. */
static bool is_worth_looking(const struct sqlite_store *store, const struct store_worker *worker)
{
    for (size_t i = 0; i < store->lanes_len; i++)
        if (lane_waiting(&store->lanes[i]) > store->lanes[i].promised && worker_takes(worker, store->lanes[i].name))
            return true;
    return false;
}

static void join_waiters(struct sqlite_store *store, struct sqlite_waiter *waiter)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&waiter->bell, &monotonic);
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
    (void)pthread_cond_destroy(&waiter->bell);
}

/* Until rung, woken or the deadline.  Returns the lane it was rung for, or NO_LANE; *ret_look: look once more. */
static size_t wait_for_bell(struct sqlite_store *store, const struct store_worker *worker,
                            const struct timespec *deadline, bool *ret_look)
{
    struct sqlite_waiter waiter = { .worker = worker, .promised_lane = NO_LANE };
    (void)pthread_mutex_lock(&store->lock);
    if (store->wake_is_pending) {
        store->wake_is_pending = false;
        (void)pthread_mutex_unlock(&store->lock);
        *ret_look = false;
        return NO_LANE;
    }
    bool worth_looking = is_worth_looking(store, worker);
    if (!worth_looking) {
        join_waiters(store, &waiter);
        while (waiter.promised_lane == NO_LANE && !waiter.is_woken)
            if (pthread_cond_timedwait(&waiter.bell, &store->lock, deadline) == ETIMEDOUT)
                break;
        leave_waiters(store, &waiter);
    }
    (void)pthread_mutex_unlock(&store->lock);
    *ret_look = worth_looking || waiter.promised_lane != NO_LANE;
    return waiter.promised_lane;
}

static void keep_promise(struct sqlite_store *store, size_t lane)
{
    if (lane == NO_LANE)
        return;
    (void)pthread_mutex_lock(&store->lock);
    assert(store->lanes[lane].promised > 0);
    store->lanes[lane].promised--;
    sqlite_ring(store);
    (void)pthread_mutex_unlock(&store->lock);
}

int sqlite_claim(struct store *base, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                 struct store_claim ret_claims[], size_t *ret_len, struct error *err)
{
    struct sqlite_store *store = sqlite_of(base);
    struct claim_order order = { .worker = worker, .max = max, .claims = ret_claims };
    struct timespec deadline;
    (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += wait_ms / 1000;
    deadline.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }

    (void)pthread_mutex_lock(&store->lock);
    bool look = is_worth_looking(store, worker);
    (void)pthread_mutex_unlock(&store->lock);
    size_t lane = NO_LANE;
    while (max > 0) {
        int claimed = look ? claim_now(store, &order, err) : 0;
        keep_promise(store, lane);
        if (claimed < 0)
            return -1;
        if (order.len > 0)
            break;
        lane = wait_for_bell(store, worker, &deadline, &look);
        if (!look)
            break;
    }
    *ret_len = order.len;
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
        (void)pthread_cond_signal(&waiter->bell);
    }
    (void)pthread_mutex_unlock(&store->lock);
}
