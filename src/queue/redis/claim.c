/*
 * redis/claim: claims, and waiting for a submission.
 *
 * Every queue has a list of wakeups, with one element for each submission that waits in it.  A claim first runs
 * claim.lua.  If nothing waits, it blocks in BLPOP on the lists of its queues.  Redis gives an element to the client
 * that has blocked longest, to no other, and forgets clients that have disconnected.  The woken claim runs the script
 * again and names the queue of its wakeup.  If it got a submission of another queue, because that was older, the script
 * puts the wakeup back.  A claim that succeeds without waiting removes the wakeups of what it took.  Reaping replaces a
 * wakeup that was lost with its claimer.
 *
 * A wait consists of slices, so that a server that hangs is noticed within 5 s.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sync.h"
#include "queue/redis/redis_store.h"

#define SLICE_MS 2000
#define FILTER_BYTES (4 * PRIORITY_COUNT_ + STORE_FLOWS_MAX * (STORE_CLIENT_BYTES + 4))
#define CLAIM_FIELDS 5 /* token, attempt, waited_ms, payload, lost */

static void claim_conn_free(struct redis_claim_conn *conn)
{
    if (conn == NULL)
        return;
    redis_connection_close(conn->connection);
    if (conn->wake_fd >= 0)
        (void)close(conn->wake_fd);
    free(conn);
}

int redis_claim_conn_take(struct redis_store *store, struct redis_claim_conn **ret, struct error *err)
{
    mutex_lock(&store->claim_conns_lock);
    struct redis_claim_conn *conn = store->idle;
    if (conn != NULL)
        store->idle = conn->next;
    mutex_unlock(&store->claim_conns_lock);
    if (conn == NULL) {
        conn = calloc(1, sizeof *conn);
        if (conn == NULL)
            return error_set(err, ERROR_STORE, ENOMEM, "claim");
        token_new(conn->name);
        conn->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (conn->wake_fd < 0) {
            error_set(err, ERROR_STORE, errno, "claim");
            claim_conn_free(conn);
            return -1;
        }
    }
    *ret = conn;
    return 0;
}

void redis_claim_conn_give(struct redis_store *store, struct redis_claim_conn *conn)
{
    lock_guard(&store->claim_conns_lock);
    conn->next = store->idle;
    store->idle = conn;
}

void redis_claim_conns_done(struct redis_store *store)
{
    assert(store->waiting == NULL);
    while (store->idle != NULL) {
        struct redis_claim_conn *conn = store->idle;
        store->idle = conn->next;
        claim_conn_free(conn);
    }
}

bool redis_claim_wait_begin(struct redis_store *store, struct redis_claim_conn *conn)
{
    lock_guard(&store->claim_conns_lock);
    bool may_wait = !store->wake_is_pending;
    store->wake_is_pending = false;
    if (may_wait) {
        conn->next = store->waiting;
        store->waiting = conn;
    }
    return may_wait;
}

void redis_claim_wait_end(struct redis_store *store, struct redis_claim_conn *conn)
{
    uint64_t wakes;
    lock_guard(&store->claim_conns_lock);
    struct redis_claim_conn **at = &store->waiting;
    while (*at != conn)
        at = &(*at)->next;
    *at = conn->next;
    if (read(conn->wake_fd, &wakes, sizeof wakes) < 0)
        return; /* EAGAIN: no redis_wake came */
}

void redis_wake(struct store *base)
{
    struct redis_store *store = redis_of(base);
    lock_guard(&store->claim_conns_lock);
    store->wake_is_pending = store->waiting == NULL;
    for (struct redis_claim_conn *conn = store->waiting; conn != NULL; conn = conn->next)
        (void)eventfd_write(conn->wake_fd, 1); /* EAGAIN: the counter is at its maximum, so it is readable already */
}

/* ---- claiming without waiting ---- */

static int read_claims(const redisReply *reply, size_t max, struct store_claim ret_claims[], size_t *ret_len,
                       struct error *err)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % CLAIM_FIELDS != 0 || reply->elements / CLAIM_FIELDS > max)
        return redis_bad_reply(REDIS_CLAIM, err);
    size_t len = 0;
    for (size_t i = 0; i < reply->elements; i += CLAIM_FIELDS) {
        redisReply **words = &reply->element[i];
        struct store_claim *claim = &ret_claims[len++];
        *claim = (struct store_claim){ 0 };
        int result = 0;
        if (words[0]->type != REDIS_REPLY_STRING || words[1]->type != REDIS_REPLY_INTEGER ||
            words[2]->type != REDIS_REPLY_INTEGER || words[3]->type != REDIS_REPLY_STRING) {
            result = redis_bad_reply(REDIS_CLAIM, err);
        } else {
            (void)snprintf(claim->token, sizeof claim->token, "%s", words[0]->str);
            claim->attempt = (uint32_t)words[1]->integer;
            claim->waited_ms = words[2]->integer > 0 ? (uint64_t)words[2]->integer : 0;
            claim->lost = (uint32_t)redis_number(words[4]);
            buf_init(&claim->payload, (size_t)words[3]->len + 1);
            if (words[3]->len > 0)
                result = buf_append(&claim->payload, words[3]->str, (size_t)words[3]->len, err);
        }
        if (result < 0) {
            while (len > 0)
                store_claim_done(&ret_claims[--len]);
            return -1;
        }
    }
    *ret_len = len;
    return 0;
}

/* As claim.lua reads it: "PRIORITY" and "PRIORITY:CLIENT", separated by blanks. */
static const char *write_filter(const struct store_filter *filter, char ret[FILTER_BYTES])
{
    size_t len = 0;
    ret[0] = '\0';
    if (filter == NULL)
        return ret;
    for (int i = 0; i < PRIORITY_COUNT_; i++)
        if (filter->without[i])
            len += (size_t)snprintf(ret + len, FILTER_BYTES - len, "%d ", i);
    for (size_t i = 0; i < filter->flows_len; i++)
        len += (size_t)snprintf(ret + len, FILTER_BYTES - len, "%d:%s ", (int)filter->flows[i].priority,
                                filter->flows[i].client);
    return ret;
}

/* Connects if necessary. */
static int send_request(struct redis_store *store, struct redis_claim_conn *conn,
                        const struct redis_claim_request *request, redisReply **ret, bool *ret_broke, struct error *err)
{
    auto_args struct redis_args args = { 0 };
    char without[FILTER_BYTES];
    *ret_broke = false;
    if (conn->connection == NULL && redis_pool_connect(&store->pool, &conn->connection, err) < 0)
        return -1;
    if (redis_args_init(&args, store, REDIS_CLAIM, 9 + request->queues_len, err) < 0)
        return -1;
    redis_args_add(&args, text_of(request->worker->name));
    redis_args_add_number(&args, store->lease_ms);
    redis_args_add_number(&args, request->max);
    redis_args_add(&args, text_of(conn->name));
    redis_args_add_number(&args, conn->number);
    redis_args_add(&args, conn->is_unanswered ? TEXT("1") : TEXT("0"));
    redis_args_add(&args, text_of(request->woken_queue));
    redis_args_add(&args, text_of(store->budget));
    redis_args_add(&args, text_of(write_filter(request->worker->filter, without)));
    for (size_t i = 0; i < request->queues_len; i++)
        redis_args_add(&args, text_of(request->worker->queues[i]));
    conn->is_unanswered = true;
    if (redis_eval(conn->connection, REDIS_CLAIM, &args, ret, ret_broke, err) < 0) {
        if (*ret_broke) {
            redis_pool_drop(&store->pool, conn->connection);
            conn->connection = NULL;
        } else {
            conn->is_unanswered = false; /* answered with an error */
        }
        return -1;
    }
    conn->is_unanswered = false;
    return 0;
}

int redis_claim_now(struct redis_store *store, struct redis_claim_conn *conn, const struct redis_claim_request *request,
                    size_t *ret_len, struct error *err)
{
    auto_reply redisReply *reply = NULL;
    uint64_t start_ms = redis_now_ms();
    bool broke = false;
    if (!conn->is_unanswered)
        conn->number++; /* otherwise repeat the old request, to get the submissions that were leased for it */
    if (send_request(store, conn, request, &reply, &broke, err) < 0 &&
        (!broke || redis_now_ms() - start_ms > 1000 || send_request(store, conn, request, &reply, &broke, err) < 0))
        return -1;
    return read_claims(reply, request->max, request->ret_claims, ret_len, err);
}

/* ---- waiting ---- */

/* BLPOP {prefix}:bell:QUEUE... SECONDS */
int redis_claim_send_blpop(struct redis_store *store, struct redis_claim_conn *conn,
                           const struct redis_claim_request *request, uint64_t slice_ms, struct error *err)
{
    auto_free const char **args = calloc(request->queues_len + 2, sizeof *args);
    auto_free char(*wakeups)[sizeof store->prefix + sizeof "bell:" + QUEUE_NAME_BYTES] =
        calloc(request->queues_len, sizeof *wakeups);
    if (args == NULL || wakeups == NULL)
        return error_set(err, ERROR_STORE, ENOMEM, "claim");
    char seconds[32];
    (void)snprintf(seconds, sizeof seconds, "%llu.%03u", (unsigned long long)(slice_ms / 1000),
                   (unsigned)(slice_ms % 1000));
    args[0] = "BLPOP";
    for (size_t i = 0; i < request->queues_len; i++) {
        (void)snprintf(wakeups[i], sizeof wakeups[i], "%sbell:%s", store->prefix, request->worker->queues[i]);
        args[i + 1] = wakeups[i];
    }
    args[request->queues_len + 1] = seconds;
    return redis_connection_send(conn->connection, request->queues_len + 2, args, NULL, redis_now_ms() + REDIS_CALL_MS,
                                 err);
}

enum redis_block_result redis_claim_read_blpop(const struct redis_store *store, const redisReply *reply,
                                               struct redis_claim_request *request, struct error *err)
{
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        const char *wakeup = reply->element[0]->str;
        (void)snprintf(request->woken_queue, sizeof request->woken_queue, "%s",
                       wakeup + strlen(store->prefix) + strlen("bell:"));
        return BLOCK_WAKEUP;
    }
    if (reply->type == REDIS_REPLY_NIL)
        return BLOCK_TIMEOUT;
    if (reply->type == REDIS_REPLY_ERROR)
        (void)redis_error(reply, "wait for a submission", err); /* UNBLOCKED: the server became a replica */
    else
        (void)redis_bad_reply(REDIS_CLAIM, err);
    return BLOCK_FAILED;
}

/* Waits for one slice.  A broken connection is BLOCK_TIMEOUT: the next request finds out whether Redis is up. */
static enum redis_block_result block_once(struct redis_store *store, struct redis_claim_conn *conn,
                                          struct redis_claim_request *request, uint64_t slice_ms, struct error *err)
{
    auto_reply redisReply *reply = NULL;
    enum redis_block_result result = BLOCK_TIMEOUT;
    uint64_t late_ms = redis_now_ms() + slice_ms + REDIS_CALL_MS;
    bool broke = redis_claim_send_blpop(store, conn, request, slice_ms, err) < 0;
    int got = broke ? -1 : redis_connection_receive(conn->connection, late_ms, conn->wake_fd, &reply, err);
    if (got == 1)
        result = redis_claim_read_blpop(store, reply, request, err);
    if (result == BLOCK_WAKEUP || (got == 1 && result == BLOCK_TIMEOUT))
        return result;
    if (got == 0 && redis_now_ms() >= late_ms) {
        (void)error_set(err, ERROR_STORE, ETIMEDOUT, "wait for a submission: Redis does not answer");
        result = BLOCK_FAILED;
    } else if (got == 0) {
        result = BLOCK_INTERRUPTED; /* the BLPOP still runs on the server: closing the connection ends it */
    }
    redis_connection_close(conn->connection);
    conn->connection = NULL;
    return result;
}

/* Waits until the deadline (BLOCK_TIMEOUT), redis_wake (BLOCK_INTERRUPTED), or a reason to claim (BLOCK_WAKEUP). */
static enum redis_block_result wait_for_wakeup(struct redis_store *store, struct redis_claim_conn *conn,
                                               struct redis_claim_request *request, uint64_t deadline_ms,
                                               struct error *err)
{
    enum redis_block_result result = BLOCK_TIMEOUT;
    while (result == BLOCK_TIMEOUT) {
        uint64_t now = redis_now_ms(), left = deadline_ms - now;
        if (now >= deadline_ms)
            return BLOCK_TIMEOUT;
        if (conn->connection == NULL)
            return BLOCK_WAKEUP; /* a claim connects again, or finds out why not */
        if (!redis_claim_wait_begin(store, conn))
            return BLOCK_INTERRUPTED;
        result = block_once(store, conn, request, left < SLICE_MS ? left : SLICE_MS, err);
        redis_claim_wait_end(store, conn);
    }
    return result;
}

int redis_claim(struct store *base, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                struct store_claim ret_claims[], size_t *ret_len, struct error *err)
{
    struct redis_store *store = redis_of(base);
    struct redis_claim_request request = { .worker = worker, .max = max, .ret_claims = ret_claims };
    struct redis_claim_conn *conn = NULL;
    uint64_t deadline_ms = redis_now_ms() + wait_ms;
    while (worker->queues[request.queues_len] != NULL)
        request.queues_len++;
    *ret_len = 0;
    if (max == 0)
        return 0;
    if (redis_claim_conn_take(store, &conn, err) < 0)
        return -1;
    enum redis_block_result result = BLOCK_WAKEUP;
    while (result == BLOCK_WAKEUP) {
        if (redis_claim_now(store, conn, &request, ret_len, err) < 0) {
            result = BLOCK_FAILED;
            break;
        }
        if (*ret_len > 0 || request.queues_len == 0)
            break;
        request.woken_queue[0] = '\0';
        result = wait_for_wakeup(store, conn, &request, deadline_ms, err);
    }
    redis_claim_conn_give(store, conn);
    return result == BLOCK_FAILED ? -1 : 0;
}
