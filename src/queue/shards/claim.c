/*
 * shards/claim: claims from several Redis servers, and waiting on all of them.
 *
 * A claim asks the shards that are up one after the other, beginning with the next one each time, until it has enough.
 * If none has a submission, it sends a BLPOP to each shard, on a connection of its own, and polls all connections.
 * When a shard answers with a wakeup, the claim asks that shard and ends the BLPOPs on the others with CLIENT UNBLOCK.
 * Such a BLPOP answers that it was unblocked, or that it had taken a wakeup as well.  In the second case the claim
 * takes that submission, too, or, if it has enough, returns the wakeup for another claimer (a claim with max 0).  So no
 * wakeup is lost and no connection has to be closed.  If CLIENT is forbidden, the connection is closed instead; the
 * next reaping replaces a wakeup that was on its way then.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "queue/shards/shards.h"

#define SLICE_MS 2000
#define UNBLOCK_MS 250

struct shards_claim {
    struct shards *shards;
    struct redis_claim_conn *conns[SHARDS_MAX]; /* NULL if the shard is not in use */
    struct redis_claim_request requests[SHARDS_MAX];
    bool is_blocked[SHARDS_MAX]; /* its answer to BLPOP is outstanding */
    unsigned first;              /* the shard to ask first */
    size_t max, len;             /* wanted, got */
    struct store_claim *claims;
};

/* ---- asking ---- */

/* If enough was claimed already, only returns a wakeup that this claim took from the shard. */
static int ask_shard(struct shards_claim *claim, size_t i, struct error *err)
{
    struct redis_claim_request *request = &claim->requests[i];
    struct redis_store *redis = shard_up(claim->shards, i, err);
    size_t len = 0;
    request->max = claim->max - claim->len;
    if (redis == NULL)
        return -1;
    if (request->max == 0 && (request->woken_queue[0] == '\0' || claim->conns[i]->is_unanswered))
        return 0;
    request->ret_claims = claim->claims + claim->len;
    int result = redis_claim_now(redis, claim->conns[i], request, &len, err);
    request->woken_queue[0] = '\0';
    if (result < 0)
        return shard_failed(claim->shards, i, err);
    claim->len += len;
    return 0;
}

/* Returns -1 if no shard could be asked. */
static int ask_all(struct shards_claim *claim, struct error *err)
{
    bool any = false;
    for (size_t k = 0; k < claim->shards->len; k++) {
        size_t i = (claim->first + k) % claim->shards->len;
        if (claim->conns[i] != NULL)
            any |= ask_shard(claim, i, err) == 0;
    }
    return any ? 0 : -1;
}

/* Asks the shards that answered with a wakeup: they are the likeliest to have a submission. */
static void ask_woken(struct shards_claim *claim)
{
    struct error err;
    for (size_t k = 0; k < claim->shards->len; k++) {
        size_t i = (claim->first + k) % claim->shards->len;
        if (claim->conns[i] != NULL && claim->requests[i].woken_queue[0] != '\0')
            (void)ask_shard(claim, i, &err);
    }
}

/* ---- waiting ---- */

static void close_connection(struct redis_claim_conn *conn)
{
    redis_connection_close(conn->connection);
    conn->connection = NULL;
}

/* Reads the answer to BLPOP.  BLOCK_INTERRUPTED: none by until_ms, which may be in the past. */
static enum redis_block_result receive_blpop(struct shards_claim *claim, size_t i, uint64_t until_ms)
{
    struct redis_claim_conn *conn = claim->conns[i];
    auto_reply redisReply *reply = NULL;
    struct error err;
    int got = redis_connection_receive(conn->connection, until_ms, -1, &reply, &err);
    if (got == 0)
        return BLOCK_INTERRUPTED;
    claim->is_blocked[i] = false;
    enum redis_block_result result =
        got == 1 ? redis_claim_read_blpop(claim->shards->at[i].redis, reply, &claim->requests[i], &err) : BLOCK_FAILED;
    if (result == BLOCK_FAILED)
        close_connection(conn); /* the next request finds out whether the shard is up */
    return result;
}

/* Asks once for the server's number of this connection, which CLIENT UNBLOCK needs. */
static int read_client_id(struct redis_claim_conn *conn, struct error *err)
{
    auto_reply redisReply *reply = NULL;
    uint64_t deadline_ms = redis_now_ms() + REDIS_CALL_MS;
    if (conn->connection->id != 0)
        return 0;
    if (redis_connection_send(conn->connection, 2, (const char *const[]){ "CLIENT", "ID" }, NULL, deadline_ms, err) < 0)
        return -1;
    int got = redis_connection_receive(conn->connection, deadline_ms, -1, &reply, err);
    if (got == 0)
        return error_set(err, ERROR_STORE, ETIMEDOUT, "wait for a submission: Redis does not answer");
    if (got < 0)
        return -1;
    /* An error means that CLIENT is forbidden. */
    conn->connection->id = reply->type == REDIS_REPLY_INTEGER ? (uint64_t)reply->integer : UINT64_MAX;
    return 0;
}

static bool send_blpop(struct shards_claim *claim, size_t i, uint64_t slice_ms)
{
    struct error err;
    struct redis_claim_conn *conn = claim->conns[i];
    struct redis_store *redis = conn != NULL ? shard_up(claim->shards, i, &err) : NULL;
    if (redis == NULL || conn->connection == NULL)
        return false;
    if (read_client_id(conn, &err) < 0 ||
        redis_claim_send_blpop(redis, conn, &claim->requests[i], slice_ms, &err) < 0) {
        close_connection(conn);
        return false;
    }
    claim->is_blocked[i] = true;
    return true;
}

static int send_unblock(struct redis_store *redis, uint64_t id)
{
    struct redis_connection *connection;
    struct error err;
    auto_reply redisReply *reply = NULL;
    char number[24];
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)id);
    if (redis_pool_take(&redis->pool, &connection, &err) < 0)
        return -1;
    uint64_t until_ms = redis_now_ms() + UNBLOCK_MS;
    if (redis_connection_send(connection, 3, (const char *const[]){ "CLIENT", "UNBLOCK", number }, NULL, until_ms,
                              &err) < 0 ||
        redis_connection_receive(connection, until_ms, -1, &reply, &err) != 1) {
        redis_pool_drop(&redis->pool, connection);
        return -1;
    }
    redis_pool_give(&redis->pool, connection);
    return reply->type == REDIS_REPLY_INTEGER ? 0 : -1;
}

/* Ends every outstanding BLPOP.  One that took a wakeup all the same has set requests[].woken_queue. */
static void unblock_all(struct shards_claim *claim)
{
    for (size_t i = 0; i < claim->shards->len; i++) {
        if (!claim->is_blocked[i])
            continue;
        struct redis_claim_conn *conn = claim->conns[i];
        const struct shard *shard = &claim->shards->at[i];
        if (receive_blpop(claim, i, 0) == BLOCK_INTERRUPTED &&
            (conn->connection->id == UINT64_MAX || atomic_load(&shard->is_down) ||
             send_unblock(shard->redis, conn->connection->id) < 0 ||
             receive_blpop(claim, i, redis_now_ms() + UNBLOCK_MS) == BLOCK_INTERRUPTED))
            close_connection(conn);
        claim->is_blocked[i] = false;
    }
}

/* Waits until a shard answers, redis_wake, or late_ms.  BLOCK_WAKEUP is a reason to ask the shards. */
static enum redis_block_result poll_blocked(struct shards_claim *claim, int wake_fd, uint64_t late_ms)
{
    struct pollfd fds[SHARDS_MAX + 1] = { { .fd = wake_fd, .events = POLLIN } };
    size_t shard_of[SHARDS_MAX + 1], len = 1;
    for (size_t i = 0; i < claim->shards->len; i++)
        if (claim->is_blocked[i]) {
            fds[len] = (struct pollfd){ .fd = claim->conns[i]->connection->fd, .events = POLLIN };
            shard_of[len++] = i;
        }
    uint64_t now = redis_now_ms();
    if (len == 1)
        return BLOCK_TIMEOUT;
    if (now >= late_ms || (poll(fds, (nfds_t)len, (int)(late_ms - now)) < 0 && errno != EINTR))
        return BLOCK_FAILED;
    if (fds[0].revents != 0)
        return BLOCK_INTERRUPTED;
    enum redis_block_result result = BLOCK_TIMEOUT;
    for (size_t k = 1; k < len; k++) {
        enum redis_block_result one = fds[k].revents != 0 ? receive_blpop(claim, shard_of[k], 0) : BLOCK_TIMEOUT;
        if (one == BLOCK_WAKEUP || one == BLOCK_FAILED)
            result = BLOCK_WAKEUP;
    }
    return result;
}

/* Waits for one slice.  BLOCK_WAKEUP: a submission may wait, or a shard has failed.  BLOCK_TIMEOUT: neither. */
static enum redis_block_result block_once(struct shards_claim *claim, int wake_fd, uint64_t slice_ms)
{
    struct error err;
    uint64_t late_ms = redis_now_ms() + slice_ms + REDIS_CALL_MS;
    bool any = false, all = true;
    for (size_t i = 0; i < claim->shards->len; i++) {
        bool is_sent = send_blpop(claim, i, slice_ms);
        any |= is_sent;
        all &= is_sent || claim->conns[i] == NULL || shard_up(claim->shards, i, &err) == NULL;
    }
    if (!any || !all)
        return BLOCK_WAKEUP; /* a shard that is up could not be sent to: asking it finds out why */
    enum redis_block_result result = BLOCK_TIMEOUT;
    while (any && result == BLOCK_TIMEOUT) {
        result = poll_blocked(claim, wake_fd, late_ms);
        any = false;
        for (size_t i = 0; i < claim->shards->len; i++)
            any |= claim->is_blocked[i];
    }
    if (result != BLOCK_FAILED)
        return result;
    for (size_t i = 0; i < claim->shards->len; i++) { /* too late: a shard that has not answered is down */
        if (!claim->is_blocked[i])
            continue;
        close_connection(claim->conns[i]);
        claim->is_blocked[i] = false;
        (void)error_set(&err, ERROR_STORE, ETIMEDOUT, "wait for a submission: Redis does not answer");
        (void)shard_failed(claim->shards, i, &err);
    }
    return BLOCK_WAKEUP;
}

/* ---- the claim ---- */

/* `waker` is the connection registered with `waker_store`, where redis_wake finds it. */
static int claim_or_wait(struct shards_claim *claim, struct redis_store *waker_store, struct redis_claim_conn *waker,
                         uint64_t deadline_ms, struct error *err)
{
    if (ask_all(claim, err) < 0)
        return -1;
    while (claim->len == 0 && claim->requests[0].queues_len > 0) {
        uint64_t now = redis_now_ms();
        if (now >= deadline_ms || !redis_claim_wait_begin(waker_store, waker))
            return 0;
        enum redis_block_result result =
            block_once(claim, waker->wake_fd, deadline_ms - now < SLICE_MS ? deadline_ms - now : SLICE_MS);
        redis_claim_wait_end(waker_store, waker);
        if (result == BLOCK_TIMEOUT)
            continue;
        ask_woken(claim);
        unblock_all(claim);
        ask_woken(claim);
        if (result == BLOCK_INTERRUPTED)
            return 0;
        if (claim->len == 0 && ask_all(claim, err) < 0)
            return -1;
    }
    return 0;
}

static void give_conns(struct shards_claim *claim)
{
    for (size_t i = 0; i < claim->shards->len; i++)
        if (claim->conns[i] != NULL)
            redis_claim_conn_give(claim->shards->at[i].redis, claim->conns[i]);
}

int shards_claim(struct store *base, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                 struct store_claim ret_claims[], size_t *ret_len, struct error *err)
{
    struct shards *shards = shards_of(base);
    struct shards_claim claim = { .shards = shards, .max = max, .claims = ret_claims };
    size_t queues_len = 0, waker = SHARDS_MAX;
    while (worker->queues[queues_len] != NULL)
        queues_len++;
    *ret_len = 0;
    if (max == 0)
        return 0;
    claim.first = atomic_fetch_add(&shards->claim_turn, 1) % (unsigned)shards->len;
    for (size_t i = 0; i < shards->len; i++) {
        claim.requests[i] = (struct redis_claim_request){ .worker = worker, .queues_len = queues_len };
        if (shards->at[i].redis == NULL)
            continue;
        if (redis_claim_conn_take(shards->at[i].redis, &claim.conns[i], err) < 0) {
            give_conns(&claim);
            return -1;
        }
        if (waker == SHARDS_MAX)
            waker = i;
    }
    int result = claim_or_wait(&claim, shards->at[waker].redis, claim.conns[waker], redis_now_ms() + wait_ms, err);
    give_conns(&claim);
    assert(result == 0 || claim.len == 0);
    *ret_len = claim.len;
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
