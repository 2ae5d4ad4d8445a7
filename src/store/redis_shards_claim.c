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

#include "store/redis_shards.h"

#define SLICE_MS 2000
#define UNBLOCK_MS 250

struct search {
    struct shards *shards;
    struct redis_asker *askers[SHARDS_MAX]; /* NULL where nobody lives */
    struct redis_question questions[SHARDS_MAX];
    bool is_resting[SHARDS_MAX]; /* its answer to BLPOP is awaited */
    unsigned first;              /* to be asked */
    size_t max, len;             /* wanted, got */
    struct store_claim *claims;
};

/* ---- asking ---- */

/* Also with nothing wanted any more, where its bell was taken: it is put back. */
static int ask_shard(struct search *search, size_t i, struct error *err)
{
    struct redis_question *question = &search->questions[i];
    struct redis_store *redis = shard_living(search->shards, i, err);
    size_t len = 0;
    question->max = search->max - search->len;
    if (redis == NULL)
        return -1;
    if (question->max == 0 && (question->rung[0] == '\0' || search->askers[i]->is_unanswered))
        return 0;
    question->ret_claims = search->claims + search->len;
    int result = redis_asker_ask(redis, search->askers[i], question, &len, err);
    question->rung[0] = '\0';
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
        if (search->askers[i] != NULL)
            any |= ask_shard(search, i, err) == 0;
    }
    return any ? 0 : -1;
}

/* ---- sleeping ---- */

static void give_up_link(struct redis_asker *asker)
{
    redis_link_close(asker->link);
    asker->link = NULL;
}

/* What a shard answered to BLPOP, if it has; until_ms may be in the past, to look only. */
static enum redis_rest hear(struct search *search, size_t i, uint64_t until_ms)
{
    struct redis_store *redis = search->shards->at[i].redis;
    struct redis_asker *asker = search->askers[i];
    auto_reply redisReply *reply = NULL;
    struct error err;
    int got = redis_link_receive(asker->link, until_ms, -1, &reply, &err);
    if (got == 0)
        return REST_WOKEN; /* nothing yet */
    search->is_resting[i] = false;
    enum redis_rest rest = got == 1 ? redis_asker_rested(redis, reply, &search->questions[i], &err) : REST_FAILED;
    if (rest == REST_FAILED)
        give_up_link(asker); /* the next question finds out whether it is there */
    return rest;
}

/* The server's name for the asker's connection, asked for once. */
static int learn_id(struct redis_asker *asker, struct error *err)
{
    auto_reply redisReply *reply = NULL;
    uint64_t deadline_ms = redis_now_ms() + REDIS_CALL_MS;
    if (asker->link->id != 0)
        return 0;
    if (redis_link_send(asker->link, 2, (const char *const[]){ "CLIENT", "ID" }, NULL, deadline_ms, err) < 0)
        return -1;
    int got = redis_link_receive(asker->link, deadline_ms, -1, &reply, err);
    if (got == 0)
        return error_set(err, ERROR_STORE, ETIMEDOUT, "wait for a submission: Redis gives no answer");
    if (got < 0)
        return -1;
    /* An error: CLIENT is forbidden. */
    asker->link->id = reply->type == REDIS_REPLY_INTEGER ? (uint64_t)reply->integer : UINT64_MAX;
    return 0;
}

static bool start_resting(struct search *search, size_t i, uint64_t slice_ms)
{
    struct error err;
    struct redis_asker *asker = search->askers[i];
    struct redis_store *redis = asker != NULL ? shard_living(search->shards, i, &err) : NULL;
    if (redis == NULL || asker->link == NULL)
        return false;
    if (learn_id(asker, &err) < 0 ||
        redis_asker_rest(redis, asker, &search->questions[i], slice_ms, &err) < 0) {
        give_up_link(asker);
        return false;
    }
    search->is_resting[i] = true;
    return true;
}

static int send_unblock(struct redis_store *redis, uint64_t id)
{
    struct redis_link *link;
    struct error err;
    auto_reply redisReply *reply = NULL;
    char number[24];
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)id);
    if (redis_pool_take(&redis->pool, &link, &err) < 0)
        return -1;
    uint64_t until_ms = redis_now_ms() + UNBLOCK_MS;
    if (redis_link_send(link, 3, (const char *const[]){ "CLIENT", "UNBLOCK", number }, NULL, until_ms, &err) < 0 ||
        redis_link_receive(link, until_ms, -1, &reply, &err) != 1) {
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
        struct redis_asker *asker = search->askers[i];
        struct redis_store *redis = search->shards->at[i].redis;
        if (hear(search, i, 0) == REST_WOKEN &&
            (asker->link->id == UINT64_MAX || atomic_load(&search->shards->at[i].is_dead) ||
             send_unblock(redis, asker->link->id) < 0 || hear(search, i, redis_now_ms() + UNBLOCK_MS) == REST_WOKEN))
            give_up_link(asker);
        search->is_resting[i] = false;
    }
}

/* Until something comes from a shard or redis_wake, or until late_ms: what is heard is in *ret_heard. */
static enum redis_rest poll_resting(struct search *search, int wake_fd, uint64_t late_ms)
{
    struct pollfd fds[SHARDS_MAX + 1] = { { .fd = wake_fd, .events = POLLIN } };
    size_t from[SHARDS_MAX + 1], len = 1;
    for (size_t i = 0; i < search->shards->len; i++)
        if (search->is_resting[i]) {
            fds[len] = (struct pollfd){ .fd = search->askers[i]->link->fd, .events = POLLIN };
            from[len++] = i;
        }
    uint64_t now = redis_now_ms();
    if (len == 1)
        return REST_QUIET;
    if (now >= late_ms || (poll(fds, (nfds_t)len, (int)(late_ms - now)) < 0 && errno != EINTR))
        return REST_FAILED;
    if (fds[0].revents != 0)
        return REST_WOKEN;
    enum redis_rest rest = REST_QUIET;
    for (size_t k = 1; k < len; k++) {
        enum redis_rest one = fds[k].revents != 0 ? hear(search, from[k], 0) : REST_QUIET;
        if (one == REST_RUNG || one == REST_FAILED)
            rest = REST_RUNG; /* a reason to ask */
    }
    return rest;
}

/* One slice.  REST_RUNG: something may be there, or a shard has failed.  REST_QUIET: all waited to the end. */
static enum redis_rest rest_once(struct search *search, struct redis_asker *waker, uint64_t slice_ms)
{
    uint64_t late_ms = redis_now_ms() + slice_ms + REDIS_CALL_MS;
    bool any = false, is_whole = true;
    for (size_t i = 0; i < search->shards->len; i++) {
        struct error err;
        bool rests = start_resting(search, i, slice_ms);
        any |= rests;
        is_whole &= rests || search->askers[i] == NULL || shard_living(search->shards, i, &err) == NULL;
    }
    enum redis_rest rest = any && is_whole ? REST_QUIET : REST_RUNG; /* one that lives does not listen: ask it */
    while (any && rest == REST_QUIET) {
        rest = poll_resting(search, waker->wake_fd, late_ms);
        any = false;
        for (size_t i = 0; i < search->shards->len; i++)
            any |= search->is_resting[i];
    }
    if (rest != REST_FAILED)
        return rest;
    for (size_t i = 0; i < search->shards->len; i++) { /* too late: who has not answered is away */
        struct error err;
        if (!search->is_resting[i])
            continue;
        give_up_link(search->askers[i]);
        search->is_resting[i] = false;
        (void)error_set(&err, ERROR_STORE, ETIMEDOUT, "wait for a submission: Redis gives no answer");
        (void)shard_failed(search->shards, i, &err);
    }
    return REST_RUNG;
}

/* ---- the claim ---- */

/* The rung ones first: what rang is the likeliest to be there. */
static void ask_rung(struct search *search)
{
    struct error err;
    for (size_t k = 0; k < search->shards->len; k++) {
        size_t i = (search->first + k) % search->shards->len;
        if (search->askers[i] != NULL && search->questions[i].rung[0] != '\0')
            (void)ask_shard(search, i, &err);
    }
}

static int claim_or_wait(struct search *search, struct redis_asker *waker, uint64_t deadline_ms, struct error *err)
{
    struct redis_store *waits = NULL; /* the one whose list of waiting askers redis_wake walks */
    for (size_t i = 0; i < search->shards->len && waits == NULL; i++)
        waits = search->shards->at[i].redis;
    if (ask_all(search, err) < 0)
        return -1;
    while (search->len == 0 && search->questions[0].lanes_len > 0) {
        uint64_t now = redis_now_ms();
        if (now >= deadline_ms || !redis_start_waiting(waits, waker))
            return 0;
        enum redis_rest rest = rest_once(search, waker, deadline_ms - now < SLICE_MS ? deadline_ms - now : SLICE_MS);
        redis_stop_waiting(waits, waker);
        if (rest == REST_QUIET)
            continue;
        ask_rung(search);
        end_resting(search);
        ask_rung(search);
        if (rest == REST_WOKEN)
            return 0;
        if (search->len == 0 && ask_all(search, err) < 0)
            return -1;
    }
    return 0;
}

/* Gives back what was taken; fine where not all of them were. */
static void give_askers(struct search *search)
{
    for (size_t i = 0; i < search->shards->len; i++)
        if (search->askers[i] != NULL)
            redis_asker_give(search->shards->at[i].redis, search->askers[i]);
}

int shards_claim(struct store *base, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                 struct store_claim ret_claims[], size_t *ret_len, struct error *err)
{
    struct shards *shards = shards_of(base);
    struct search search = { .shards = shards, .max = max, .claims = ret_claims };
    struct redis_asker *waker = NULL;
    size_t lanes_len = 0;
    while (worker->lanes[lanes_len] != NULL)
        lanes_len++;
    *ret_len = 0;
    if (max == 0)
        return 0;
    search.first = atomic_fetch_add(&shards->claim_turn, 1) % (unsigned)shards->len;
    for (size_t i = 0; i < shards->len; i++) {
        search.questions[i] = (struct redis_question){ .worker = worker, .lanes_len = lanes_len };
        if (shards->at[i].redis == NULL)
            continue;
        if (redis_asker_take(shards->at[i].redis, &search.askers[i], err) < 0) {
            give_askers(&search);
            return -1;
        }
        if (waker == NULL)
            waker = search.askers[i];
    }
    int result = claim_or_wait(&search, waker, redis_now_ms() + wait_ms, err);
    give_askers(&search);
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
