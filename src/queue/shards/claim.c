/*
 * redis_shards_claim: asking several Redis for submissions, and sleeping on all of them.
 *
 * A claim asks the living shards one after the other, beginning with the next one each time, until it has enough.
 * Told by all that there is nothing, it blocks in BLPOP on each, with a connection for each, and polls the lot.
 * When one rings it asks that one, and ends the waits in the others by CLIENT UNBLOCK: an answer that says so, or that
 * their bell was rung too; then it takes what is there, or, having enough, puts the bell back for somebody else (a
 * question with max 0).  So no bell gets lost, and no connection is given up for it.  Where CLIENT is forbidden the
 * connection is closed instead; a bell that was on its way then is rung again by the next sweep.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "queue/shards/shards.h"

#define SLICE_MS 2000
#define UNBLOCK_MS 250

struct search {
    struct shards *shards;
    struct redis_claim_conn *conns[SHARDS_MAX]; /* NULL where nobody lives */
    struct redis_claim_request questions[SHARDS_MAX];
    bool is_resting[SHARDS_MAX]; /* its answer to BLPOP is awaited */
    unsigned first;              /* to be asked */
    size_t max, len;             /* wanted, got */
    struct store_claim *claims;
};

/* ---- asking ---- */

/* Also with nothing wanted any more, where its bell was taken: it is put back. */
static int ask_shard(struct search *search, size_t i, struct error *err)
{
    struct redis_claim_request *request = &search->questions[i];
    struct redis_store *redis = shard_living(search->shards, i, err);
    size_t len = 0;
    request->max = search->max - search->len;
    if (redis == NULL)
        return -1;
    if (request->max == 0 && (request->woken_queue[0] == '\0' || search->conns[i]->is_unanswered))
        return 0;
    request->ret_claims = search->claims + search->len;
    int result = redis_claim_conn_ask(redis, search->conns[i], request, &len, err);
    request->woken_queue[0] = '\0';
    if (result < 0)
        return shard_failed(search->shards, i, err);
    search->len += len;
    return 0;
}

/* -1: no shard could be asked. */
static int ask_all(struct search *search, struct error *err)
{
    bool any = false;
    for (size_t k = 0; k < search->shards->len; k++) {
        size_t i = (search->first + k) % search->shards->len;
        if (search->conns[i] != NULL)
            any |= ask_shard(search, i, err) == 0;
    }
    return any ? 0 : -1;
}

/* ---- sleeping ---- */

static void give_up_link(struct redis_claim_conn *conn)
{
    redis_connection_close(conn->link);
    conn->link = NULL;
}

/* What a shard answered to BLPOP, if it has; until_ms may be in the past, to look only. */
static enum redis_block_result hear(struct search *search, size_t i, uint64_t until_ms)
{
    struct redis_store *redis = search->shards->at[i].redis;
    struct redis_claim_conn *conn = search->conns[i];
    auto_reply redisReply *reply = NULL;
    struct error err;
    int got = redis_connection_receive(conn->link, until_ms, -1, &reply, &err);
    if (got == 0)
        return BLOCK_INTERRUPTED; /* nothing yet */
    search->is_resting[i] = false;
    enum redis_block_result rest =
        got == 1 ? redis_claim_conn_unblocked(redis, reply, &search->questions[i], &err) : BLOCK_FAILED;
    if (rest == BLOCK_FAILED)
        give_up_link(conn); /* the next question finds out whether it is there */
    return rest;
}

/* The server's name for the asker's connection, asked for once. */
static int learn_id(struct redis_claim_conn *conn, struct error *err)
{
    auto_reply redisReply *reply = NULL;
    uint64_t deadline_ms = redis_now_ms() + REDIS_CALL_MS;
    if (conn->link->id != 0)
        return 0;
    if (redis_connection_send(conn->link, 2, (const char *const[]){ "CLIENT", "ID" }, NULL, deadline_ms, err) < 0)
        return -1;
    int got = redis_connection_receive(conn->link, deadline_ms, -1, &reply, err);
    if (got == 0)
        return error_set(err, ERROR_STORE, ETIMEDOUT, "wait for a submission: Redis gives no answer");
    if (got < 0)
        return -1;
    /* An error: CLIENT is forbidden. */
    conn->link->id = reply->type == REDIS_REPLY_INTEGER ? (uint64_t)reply->integer : UINT64_MAX;
    return 0;
}

static bool start_resting(struct search *search, size_t i, uint64_t slice_ms)
{
    struct error err;
    struct redis_claim_conn *conn = search->conns[i];
    struct redis_store *redis = conn != NULL ? shard_living(search->shards, i, &err) : NULL;
    if (redis == NULL || conn->link == NULL)
        return false;
    if (learn_id(conn, &err) < 0 || redis_claim_conn_block(redis, conn, &search->questions[i], slice_ms, &err) < 0) {
        give_up_link(conn);
        return false;
    }
    search->is_resting[i] = true;
    return true;
}

static int send_unblock(struct redis_store *redis, uint64_t id)
{
    struct redis_connection *link;
    struct error err;
    auto_reply redisReply *reply = NULL;
    char number[24];
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)id);
    if (redis_pool_take(&redis->pool, &link, &err) < 0)
        return -1;
    uint64_t until_ms = redis_now_ms() + UNBLOCK_MS;
    if (redis_connection_send(link, 3, (const char *const[]){ "CLIENT", "UNBLOCK", number }, NULL, until_ms, &err) <
            0 ||
        redis_connection_receive(link, until_ms, -1, &reply, &err) != 1) {
        redis_pool_drop(&redis->pool, link);
        return -1;
    }
    redis_pool_give(&redis->pool, link);
    return reply->type == REDIS_REPLY_INTEGER ? 0 : -1;
}

/* Ends every wait that still goes on; afterwards questions[].rung tells whose bell came all the same. */
static void end_resting(struct search *search)
{
    for (size_t i = 0; i < search->shards->len; i++) {
        if (!search->is_resting[i])
            continue;
        struct redis_claim_conn *conn = search->conns[i];
        struct redis_store *redis = search->shards->at[i].redis;
        if (hear(search, i, 0) == BLOCK_INTERRUPTED &&
            (conn->link->id == UINT64_MAX || atomic_load(&search->shards->at[i].is_dead) ||
             send_unblock(redis, conn->link->id) < 0 ||
             hear(search, i, redis_now_ms() + UNBLOCK_MS) == BLOCK_INTERRUPTED))
            give_up_link(conn);
        search->is_resting[i] = false;
    }
}

/* Until something comes from a shard or redis_wake, or until late_ms: what is heard is in *ret_heard. */
static enum redis_block_result poll_resting(struct search *search, int wake_fd, uint64_t late_ms)
{
    struct pollfd fds[SHARDS_MAX + 1] = { { .fd = wake_fd, .events = POLLIN } };
    size_t from[SHARDS_MAX + 1], len = 1;
    for (size_t i = 0; i < search->shards->len; i++)
        if (search->is_resting[i]) {
            fds[len] = (struct pollfd){ .fd = search->conns[i]->link->fd, .events = POLLIN };
            from[len++] = i;
        }
    uint64_t now = redis_now_ms();
    if (len == 1)
        return BLOCK_TIMEOUT;
    if (now >= late_ms || (poll(fds, (nfds_t)len, (int)(late_ms - now)) < 0 && errno != EINTR))
        return BLOCK_FAILED;
    if (fds[0].revents != 0)
        return BLOCK_INTERRUPTED;
    enum redis_block_result rest = BLOCK_TIMEOUT;
    for (size_t k = 1; k < len; k++) {
        enum redis_block_result one = fds[k].revents != 0 ? hear(search, from[k], 0) : BLOCK_TIMEOUT;
        if (one == BLOCK_WAKEUP || one == BLOCK_FAILED)
            rest = BLOCK_WAKEUP; /* a reason to ask */
    }
    return rest;
}

/* One slice.  BLOCK_WAKEUP: something may be there, or a shard has failed.  BLOCK_TIMEOUT: all waited to the end. */
static enum redis_block_result block_once(struct search *search, struct redis_claim_conn *waker, uint64_t slice_ms)
{
    uint64_t late_ms = redis_now_ms() + slice_ms + REDIS_CALL_MS;
    bool any = false, is_whole = true;
    for (size_t i = 0; i < search->shards->len; i++) {
        struct error err;
        bool rests = start_resting(search, i, slice_ms);
        any |= rests;
        is_whole &= rests || search->conns[i] == NULL || shard_living(search->shards, i, &err) == NULL;
    }
    enum redis_block_result rest =
        any && is_whole ? BLOCK_TIMEOUT : BLOCK_WAKEUP; /* one that lives does not listen: ask it */
    while (any && rest == BLOCK_TIMEOUT) {
        rest = poll_resting(search, waker->wake_fd, late_ms);
        any = false;
        for (size_t i = 0; i < search->shards->len; i++)
            any |= search->is_resting[i];
    }
    if (rest != BLOCK_FAILED)
        return rest;
    for (size_t i = 0; i < search->shards->len; i++) { /* too late: who has not answered is away */
        struct error err;
        if (!search->is_resting[i])
            continue;
        give_up_link(search->conns[i]);
        search->is_resting[i] = false;
        (void)error_set(&err, ERROR_STORE, ETIMEDOUT, "wait for a submission: Redis gives no answer");
        (void)shard_failed(search->shards, i, &err);
    }
    return BLOCK_WAKEUP;
}

/* ---- the claim ---- */

/* The rung ones first: what rang is the likeliest to be there. */
static void ask_woken(struct search *search)
{
    struct error err;
    for (size_t k = 0; k < search->shards->len; k++) {
        size_t i = (search->first + k) % search->shards->len;
        if (search->conns[i] != NULL && search->questions[i].woken_queue[0] != '\0')
            (void)ask_shard(search, i, &err);
    }
}

static int claim_or_wait(struct search *search, struct redis_claim_conn *waker, uint64_t deadline_ms, struct error *err)
{
    struct redis_store *waits = NULL; /* the one whose list of waiting askers redis_wake walks */
    for (size_t i = 0; i < search->shards->len && waits == NULL; i++)
        waits = search->shards->at[i].redis;
    if (ask_all(search, err) < 0)
        return -1;
    while (search->len == 0 && search->questions[0].queues_len > 0) {
        uint64_t now = redis_now_ms();
        if (now >= deadline_ms || !redis_start_waiting(waits, waker))
            return 0;
        enum redis_block_result rest =
            block_once(search, waker, deadline_ms - now < SLICE_MS ? deadline_ms - now : SLICE_MS);
        redis_stop_waiting(waits, waker);
        if (rest == BLOCK_TIMEOUT)
            continue;
        ask_woken(search);
        end_resting(search);
        ask_woken(search);
        if (rest == BLOCK_INTERRUPTED)
            return 0;
        if (search->len == 0 && ask_all(search, err) < 0)
            return -1;
    }
    return 0;
}

/* Gives back what was taken; fine where not all of them were. */
static void give_conns(struct search *search)
{
    for (size_t i = 0; i < search->shards->len; i++)
        if (search->conns[i] != NULL)
            redis_claim_conn_give(search->shards->at[i].redis, search->conns[i]);
}

int shards_claim(struct store *base, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                 struct store_claim ret_claims[], size_t *ret_len, struct error *err)
{
    struct shards *shards = shards_of(base);
    struct search search = { .shards = shards, .max = max, .claims = ret_claims };
    struct redis_claim_conn *waker = NULL;
    size_t queues_len = 0;
    while (worker->queues[queues_len] != NULL)
        queues_len++;
    *ret_len = 0;
    if (max == 0)
        return 0;
    search.first = atomic_fetch_add(&shards->claim_turn, 1) % (unsigned)shards->len;
    for (size_t i = 0; i < shards->len; i++) {
        search.questions[i] = (struct redis_claim_request){ .worker = worker, .queues_len = queues_len };
        if (shards->at[i].redis == NULL)
            continue;
        if (redis_claim_conn_take(shards->at[i].redis, &search.conns[i], err) < 0) {
            give_conns(&search);
            return -1;
        }
        if (waker == NULL)
            waker = search.conns[i];
    }
    int result = claim_or_wait(&search, waker, redis_now_ms() + wait_ms, err);
    give_conns(&search);
    if (result < 0)
        assert(search.len == 0);
    *ret_len = search.len;
    return result;
}

void shards_wake(struct store *base)
{
    struct shards *shards = shards_of(base);
    for (size_t i = 0; i < shards->len; i++)
        if (shards->at[i].redis != NULL) {
            redis_wake(&shards->at[i].redis->store);
            return;
        }
}
