/* redis/dead: dead letters and the list of workers, for operators; one script each (scripts/NAME.lua). */
#include <stdio.h>
#include <string.h>

#include "queue/redis/redis_store.h"

#define DEAD_FIELDS 8 /* token, queue, priority, attempt, created, died, reason, client; dead_get adds the payload */

/* The numbers that scripts/dead_retry.lua answers; 0 is a token that is no dead letter. */
enum { RETRY_RETRIED = 1, RETRY_FULL = 2 };

static void copy_text(char *ret, size_t bytes, const redisReply *word)
{
    (void)snprintf(ret, bytes, "%.*s", TEXT_ARG(redis_text(word)));
}

static int read_dead(const redisReply *words, struct store_dead *ret, struct error *err)
{
    if (words->type != REDIS_REPLY_ARRAY || words->elements < DEAD_FIELDS)
        return redis_bad_reply(REDIS_DEAD_LIST, err);
    redisReply **at = words->element;
    uint64_t priority = redis_number(at[2]);
    *ret = (struct store_dead){ .priority =
                                    priority < PRIORITY_COUNT_ ? (enum submission_priority)priority : PRIORITY_NORMAL,
                                .attempt = (uint32_t)redis_number(at[3]),
                                .created_ms = redis_number(at[4]),
                                .died_ms = redis_number(at[5]) };
    copy_text(ret->token, sizeof ret->token, at[0]);
    copy_text(ret->queue, sizeof ret->queue, at[1]);
    copy_text(ret->reason, sizeof ret->reason, at[6]);
    copy_text(ret->client, sizeof ret->client, at[7]);
    return 0;
}

int redis_dead_list(struct store *base, uint64_t before_ms, const char *before_token, struct store_dead ret_dead[],
                    size_t max, size_t *ret_len, struct error *err)
{
    auto_reply redisReply *reply = NULL;
    if (redis_run(redis_of(base), REDIS_DEAD_LIST, REDIS_REPLY_ARRAY, &reply, err, "ntn", before_ms, before_token,
                  (uint64_t)max) < 0)
        return -1;
    if (reply->elements > max)
        return redis_bad_reply(REDIS_DEAD_LIST, err);
    for (size_t i = 0; i < reply->elements; i++)
        if (read_dead(reply->element[i], &ret_dead[i], err) < 0)
            return -1;
    *ret_len = reply->elements;
    return 0;
}

int redis_dead_get(struct store *base, const char *token, struct store_dead *ret, bool *ret_found, struct error *err)
{
    auto_reply redisReply *reply = NULL;
    if (redis_run(redis_of(base), REDIS_DEAD_GET, REDIS_REPLY_ARRAY, &reply, err, "t", token) < 0)
        return -1;
    *ret_found = reply->elements > 0;
    if (reply->elements == 0)
        return 0;
    if (reply->elements != DEAD_FIELDS + 1)
        return redis_bad_reply(REDIS_DEAD_GET, err);
    struct text payload = redis_text(reply->element[DEAD_FIELDS]);
    if (read_dead(reply, ret, err) < 0)
        return -1;
    buf_init(&ret->payload, payload.len + 1);
    return buf_append_text(&ret->payload, payload, err);
}

int redis_dead_retry(struct store *base, const char *token, bool *ret_retried, struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_reply redisReply *reply = NULL;
    if (redis_run(store, REDIS_DEAD_RETRY, REDIS_REPLY_INTEGER, &reply, err, "tnn", token, store->queue_max,
                  store->budgets.queue_bytes) < 0)
        return -1;
    if (reply->integer == RETRY_FULL)
        return store_queue_full(store->queue_max, err);
    *ret_retried = reply->integer == RETRY_RETRIED;
    return 0;
}

int redis_workers(struct store *base, struct store_worker_view ret_views[], size_t max, size_t *ret_len,
                  struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_reply redisReply *reply = NULL;
    if (redis_run(store, REDIS_WORKERS, REDIS_REPLY_ARRAY, &reply, err, "nn", store->lease_ms, (uint64_t)max) < 0)
        return -1;
    if (reply->elements > max)
        return redis_bad_reply(REDIS_WORKERS, err);
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *words = reply->element[i];
        if (words->type != REDIS_REPLY_ARRAY || words->elements != 5)
            return redis_bad_reply(REDIS_WORKERS, err);
        ret_views[i] = (struct store_worker_view){ .slots = (uint32_t)redis_number(words->element[1]),
                                                   .busy_milli = (uint32_t)redis_number(words->element[2]),
                                                   .running = (uint32_t)redis_number(words->element[3]),
                                                   .beat_ago_ms = redis_number(words->element[4]) };
        copy_text(ret_views[i].name, sizeof ret_views[i].name, words->element[0]);
    }
    *ret_len = reply->elements;
    return 0;
}
