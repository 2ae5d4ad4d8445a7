/* redis_calls: one script for each call but a claim.  What each does stands in scripts/NAME.lua. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "store/redis_internal.h"

static uint64_t reply_number(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_INTEGER && reply->integer > 0 ? (uint64_t)reply->integer : 0;
}

static struct text reply_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? (struct text){ reply->str, (size_t)reply->len } : (struct text){ 0 };
}

static uint64_t ttl_ms(const struct redis_store *store)
{
    return store->result_ttl_ms > 0 ? store->result_ttl_ms : 1; /* Redis knows no expiry of 0 */
}

int redis_add(struct store *base, const struct store_new news[], size_t len, struct error *err)
{
    static const char *const priorities[] = { "0", "1", "2" };
    static_assert(sizeof priorities / sizeof *priorities == PRIORITY_COUNT_, "every priority has a number");
    struct redis_store *store = redis_of(base);
    auto_args struct redis_args args = { 0 };
    auto_reply redisReply *reply = NULL;
    if (len == 0)
        return 0;
    if (redis_args_init(&args, store, REDIS_ADD, 1 + 4 * len, err) < 0)
        return -1;
    redis_args_add_number(&args, store->queue_max);
    for (size_t i = 0; i < len; i++) {
        assert((unsigned)news[i].priority < PRIORITY_COUNT_ && memchr(news[i].lane, '\0', sizeof news[i].lane) != NULL);
        redis_args_add(&args, text_of(news[i].token));
        redis_args_add(&args, text_of(priorities[news[i].priority]));
        redis_args_add(&args, text_of(news[i].lane));
        redis_args_add(&args, news[i].payload);
    }
    if (redis_call(store, REDIS_ADD, &args, REDIS_REPLY_STRING, &reply, err) < 0)
        return -1;
    if (strcmp(reply->str, "OK") != 0)
        return error_set(err, ERROR_BUSY, 0, "the queue is full (%llu submissions wait)",
                         (unsigned long long)store->queue_max);
    return 0;
}

int redis_heartbeat(struct store *base, const struct store_worker *worker, struct store_lease leases[], size_t len,
                    struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_args struct redis_args args = { 0 };
    auto_reply redisReply *reply = NULL;
    if (redis_args_init(&args, store, REDIS_HEARTBEAT, 4 + 2 * len, err) < 0)
        return -1;
    redis_args_add(&args, text_of(worker->name));
    redis_args_add_number(&args, worker->slots);
    redis_args_add_number(&args, worker->running);
    redis_args_add_number(&args, store->lease_ms);
    for (size_t i = 0; i < len; i++) {
        redis_args_add(&args, text_of(leases[i].token));
        redis_args_add_number(&args, leases[i].attempt);
    }
    if (redis_call(store, REDIS_HEARTBEAT, &args, REDIS_REPLY_ARRAY, &reply, err) < 0)
        return -1;
    if (reply->elements != len)
        return redis_answer_is_odd(REDIS_HEARTBEAT, err);
    for (size_t i = 0; i < len; i++) {
        uint64_t state = reply_number(reply->element[i]);
        leases[i].state = state == 0 ? LEASE_KEPT : state == 2 ? LEASE_CANCELLED : LEASE_LOST;
    }
    return 0;
}

int redis_finish(struct store *base, const char *token, uint32_t attempt, enum submission_state state,
                 struct text result, bool *ret_kept, struct error *err)
{
    assert(submission_state_is_final(state));
    struct redis_store *store = redis_of(base);
    auto_args struct redis_args args = { 0 };
    auto_reply redisReply *reply = NULL;
    char call[TOKEN_BYTES];
    token_new(call);
    if (redis_args_init(&args, store, REDIS_FINISH, 6, err) < 0)
        return -1;
    redis_args_add(&args, text_of(token));
    redis_args_add_number(&args, attempt);
    redis_args_add_number(&args, (uint64_t)state);
    redis_args_add(&args, result);
    redis_args_add_number(&args, ttl_ms(store));
    redis_args_add(&args, text_of(call));
    if (redis_call(store, REDIS_FINISH, &args, REDIS_REPLY_INTEGER, &reply, err) < 0)
        return -1;
    *ret_kept = reply->integer == 1;
    return 0;
}

int redis_hand_back(struct store *base, const char *token, uint32_t attempt, struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_args struct redis_args args = { 0 };
    auto_reply redisReply *reply = NULL;
    if (redis_args_init(&args, store, REDIS_HAND_BACK, 2, err) < 0)
        return -1;
    redis_args_add(&args, text_of(token));
    redis_args_add_number(&args, attempt);
    return redis_call(store, REDIS_HAND_BACK, &args, REDIS_REPLY_INTEGER, &reply, err);
}

int redis_cancel(struct store *base, const char *token, bool *ret_cancelled, struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_args struct redis_args args = { 0 };
    auto_reply redisReply *reply = NULL;
    char call[TOKEN_BYTES];
    token_new(call);
    if (redis_args_init(&args, store, REDIS_CANCEL, 3, err) < 0)
        return -1;
    redis_args_add(&args, text_of(token));
    redis_args_add_number(&args, ttl_ms(store));
    redis_args_add(&args, text_of(call));
    if (redis_call(store, REDIS_CANCEL, &args, REDIS_REPLY_INTEGER, &reply, err) < 0)
        return -1;
    *ret_cancelled = reply->integer == 1;
    return 0;
}

/* ---- reading ---- */

static int read_view(const redisReply *reply, struct store_view *ret, struct error *err)
{
    *ret = (struct store_view){ 0 };
    if (reply->type == REDIS_REPLY_NIL)
        return 0;
    uint64_t state = reply->type == REDIS_REPLY_ARRAY && reply->elements == 8 ? reply_number(reply->element[0])
                                                                               : SUBMISSION_STATE_COUNT_;
    if (state >= SUBMISSION_STATE_COUNT_)
        return redis_answer_is_odd(REDIS_GET, err);
    struct text lane = reply_text(reply->element[3]), result = reply_text(reply->element[7]);
    ret->found = true;
    ret->state = (enum submission_state)state;
    ret->cancelled = reply_number(reply->element[1]) == 1;
    ret->attempt = (uint32_t)reply_number(reply->element[2]);
    (void)snprintf(ret->lane, sizeof ret->lane, "%.*s", TEXT_ARG(lane));
    ret->created_ms = reply_number(reply->element[4]);
    ret->started_ms = reply_number(reply->element[5]);
    ret->finished_ms = reply_number(reply->element[6]);
    buf_init(&ret->result, result.len + 1);
    return result.len > 0 ? buf_append_text(&ret->result, result, err) : 0;
}

int redis_get(struct store *base, const char *const tokens[], size_t len, struct store_view ret_views[],
              struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_args struct redis_args args = { 0 };
    auto_reply redisReply *reply = NULL;
    if (len == 0)
        return 0;
    if (redis_args_init(&args, store, REDIS_GET, len, err) < 0)
        return -1;
    for (size_t i = 0; i < len; i++)
        redis_args_add(&args, text_of(tokens[i]));
    if (redis_call(store, REDIS_GET, &args, REDIS_REPLY_ARRAY, &reply, err) < 0)
        return -1;
    if (reply->elements != len)
        return redis_answer_is_odd(REDIS_GET, err);
    for (size_t i = 0; i < len; i++) {
        if (read_view(reply->element[i], &ret_views[i], err) == 0)
            continue;
        for (size_t j = 0; j <= i; j++)
            store_view_done(&ret_views[j]);
        return -1;
    }
    return 0;
}

/* The place of a lane in *ret; STORE_LANES_MAX where there are too many. */
static size_t depth_lane(struct store_depth *ret, struct text name)
{
    size_t i = 0;
    while (i < ret->lanes_len && !text_equal(text_of(ret->lanes[i].lane), name))
        i++;
    if (i == ret->lanes_len && i < STORE_LANES_MAX) {
        (void)snprintf(ret->lanes[i].lane, sizeof ret->lanes[i].lane, "%.*s", TEXT_ARG(name));
        ret->lanes_len++;
    }
    return i;
}

/* Fields are "w:LANE" and "r:LANE" (waiting, running); others are totals of the scripts' own. */
static void read_counts(const redisReply *counts, struct store_depth *ret)
{
    for (size_t i = 0; i + 1 < counts->elements; i += 2) {
        struct text field = reply_text(counts->element[i]), value = reply_text(counts->element[i + 1]);
        uint64_t number;
        if (field.len < 3 || field.at[1] != ':' || text_parse_u64(value, &number) < 0)
            continue;
        size_t lane = depth_lane(ret, (struct text){ field.at + 2, field.len - 2 });
        if (field.at[0] == 'w') {
            ret->waiting += number;
            if (lane < STORE_LANES_MAX)
                ret->lanes[lane].waiting = number;
        } else {
            ret->running += number;
            if (lane < STORE_LANES_MAX)
                ret->lanes[lane].running = number;
        }
    }
}

int redis_depth(struct store *base, struct store_depth *ret, struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_args struct redis_args args = { 0 };
    auto_reply redisReply *reply = NULL;
    if (redis_args_init(&args, store, REDIS_DEPTH, 1, err) < 0)
        return -1;
    redis_args_add_number(&args, store->lease_ms);
    if (redis_call(store, REDIS_DEPTH, &args, REDIS_REPLY_ARRAY, &reply, err) < 0)
        return -1;
    if (reply->elements != 5 || reply->element[0]->type != REDIS_REPLY_ARRAY)
        return redis_answer_is_odd(REDIS_DEPTH, err);
    *ret = (struct store_depth){ 0 };
    read_counts(reply->element[0], ret);
    ret->oldest_wait_ms = reply_number(reply->element[1]);
    ret->dead = reply_number(reply->element[2]);
    ret->workers = (uint32_t)reply_number(reply->element[3]);
    ret->slots = (uint32_t)reply_number(reply->element[4]);
    return 0;
}

/* ---- housekeeping ---- */

int redis_sweep(struct store *base, struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_args struct redis_args args = { 0 };
    if (redis_args_init(&args, store, REDIS_SWEEP, 5, err) < 0)
        return -1;
    redis_args_add_number(&args, store->attempts_max);
    redis_args_add_number(&args, ttl_ms(store));
    redis_args_add_number(&args, store->lease_ms);
    redis_args_add_number(&args, REDIS_DEAD_MAX);
    redis_args_add_number(&args, REDIS_DEAD_MS_MAX);
    bool more = true;
    while (more) { /* in parts, so that others get their turn in between */
        auto_reply redisReply *reply = NULL;
        if (redis_call(store, REDIS_SWEEP, &args, REDIS_REPLY_INTEGER, &reply, err) < 0)
            return -1;
        more = reply->integer == 1;
    }
    return 0;
}

int redis_forget_worker(struct store *base, const char *name, struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_args struct redis_args args = { 0 };
    auto_reply redisReply *reply = NULL;
    if (redis_args_init(&args, store, REDIS_FORGET, 1, err) < 0)
        return -1;
    redis_args_add(&args, text_of(name));
    return redis_call(store, REDIS_FORGET, &args, REDIS_REPLY_INTEGER, &reply, err);
}
