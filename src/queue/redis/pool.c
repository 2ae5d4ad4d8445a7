/*
 * redis/pool: connections for calls, scripts, and the behaviour while Redis is down.
 *
 * When a connection breaks, the idle ones are closed too: they are as old and lead to the same server.  After a failed
 * connect no caller tries again for a back-off of 50 ms to 1 s, with jitter so that a fleet does not reconnect at once.
 * Until then calls fail immediately with the reason, and the API answers 503.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sync.h"
#include "queue/redis/redis_store.h"

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 1000

void redis_pool_init(struct redis_pool *pool, const struct redis_address *address)
{
    *pool = (struct redis_pool){ .address = *address };
    mutex_init(&pool->lock);
}

/* With the lock held. */
static void close_idle(struct redis_pool *pool)
{
    while (pool->idle_len > 0)
        redis_connection_close(pool->idle[--pool->idle_len]);
}

void redis_pool_done(struct redis_pool *pool)
{
    close_idle(pool);
    (void)pthread_mutex_destroy(&pool->lock);
}

int redis_pool_connect(struct redis_pool *pool, struct redis_connection **ret, struct error *err)
{
    mutex_lock(&pool->lock);
    uint64_t now = redis_now_ms();
    bool may_try = now >= pool->retry_at_ms;
    if (!may_try)
        *err = pool->last_error;
    else if (pool->failures > 0)
        pool->retry_at_ms = now + BACKOFF_MAX_MS; /* this caller tries for all others */
    mutex_unlock(&pool->lock);
    if (!may_try)
        return -1;

    int result = redis_connection_open(&pool->address, ret, err);
    lock_guard(&pool->lock);
    if (result < 0) {
        pool->last_error = *err;
        pool->failures++;
        pool->retry_at_ms = redis_now_ms() + backoff_ms(pool->failures, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
    } else {
        pool->failures = 0;
        pool->retry_at_ms = 0;
    }
    return result;
}

int redis_pool_take(struct redis_pool *pool, struct redis_connection **ret, struct error *err)
{
    struct redis_connection *connection = NULL;
    mutex_lock(&pool->lock);
    if (pool->idle_len > 0)
        connection = pool->idle[--pool->idle_len];
    mutex_unlock(&pool->lock);
    if (connection == NULL)
        return redis_pool_connect(pool, ret, err);
    *ret = connection;
    return 0;
}

void redis_pool_give(struct redis_pool *pool, struct redis_connection *connection)
{
    mutex_lock(&pool->lock);
    bool keep = pool->idle_len < REDIS_IDLE_MAX;
    if (keep)
        pool->idle[pool->idle_len++] = connection;
    mutex_unlock(&pool->lock);
    if (!keep)
        redis_connection_close(connection);
}

void redis_pool_drop(struct redis_pool *pool, struct redis_connection *connection)
{
    redis_connection_close(connection);
    lock_guard(&pool->lock);
    close_idle(pool);
}

/* ---- scripts ---- */

int redis_args_init(struct redis_args *args, const struct redis_store *store, enum redis_script script, size_t cap,
                    struct error *err)
{
    cap += 4;
    *args = (struct redis_args){ .at = calloc(cap, sizeof *args->at),
                                 .lens = calloc(cap, sizeof *args->lens),
                                 .numbers = calloc(cap, sizeof *args->numbers),
                                 .cap = cap };
    if (args->at == NULL || args->lens == NULL || args->numbers == NULL)
        return error_set(err, ERROR_STORE, ENOMEM, "Redis: arguments of %s", redis_scripts[script].name);
    redis_args_add(args, TEXT("EVALSHA"));
    redis_args_add(args, text_of(redis_scripts[script].sha));
    redis_args_add(args, TEXT("1"));
    redis_args_add(args, text_of(store->prefix));
    return 0;
}

void redis_args_done(struct redis_args *args)
{
    free(args->at);
    free(args->lens);
    free(args->numbers);
    *args = (struct redis_args){ 0 };
}

void redis_args_add(struct redis_args *args, struct text text)
{
    assert(args->len < args->cap);
    args->at[args->len] = text.at != NULL ? text.at : "";
    args->lens[args->len++] = text.len;
}

void redis_args_add_number(struct redis_args *args, uint64_t number)
{
    char *at = args->numbers[args->len];
    int len = snprintf(at, sizeof args->numbers[0], "%llu", (unsigned long long)number);
    redis_args_add(args, (struct text){ at, (size_t)len });
}

/* Sends the command and receives the answer.  *ret_broke: the connection must be closed. */
static int exchange(struct redis_connection *connection, const struct redis_args *args, const char *doing,
                    redisReply **ret, bool *ret_broke, struct error *err)
{
    uint64_t deadline_ms = redis_now_ms() + REDIS_CALL_MS;
    *ret_broke = true;
    if (redis_connection_send(connection, args->len, args->at, args->lens, deadline_ms, err) < 0)
        return -1;
    int got = redis_connection_receive(connection, deadline_ms, -1, ret, err);
    if (got == 0)
        return error_set(err, ERROR_STORE, ETIMEDOUT, "%s: Redis does not answer", doing);
    if (got < 0)
        return -1;
    *ret_broke = false;
    return 0;
}

/* Errors of a server that cannot serve us now, or no longer.  The next connect may find its successor. */
static bool is_wrong_server(const char *text)
{
    return strncmp(text, "READONLY", 8) == 0 || strncmp(text, "LOADING", 7) == 0 ||
           strncmp(text, "MASTERDOWN", 10) == 0 || strncmp(text, "MOVED", 5) == 0;
}

int redis_eval(struct redis_connection *connection, enum redis_script script, struct redis_args *args, redisReply **ret,
               bool *ret_broke, struct error *err)
{
    const char *doing = redis_scripts[script].name;
    redisReply *reply = NULL;
    if (exchange(connection, args, doing, &reply, ret_broke, err) < 0)
        return -1;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0) {
        /* A restarted server, or another one: EVAL sends the text, and from then on the server knows its hash. */
        freeReplyObject(reply);
        struct text hash = { args->at[1], args->lens[1] };
        args->at[0] = "EVAL";
        args->lens[0] = 4;
        args->at[1] = redis_scripts[script].text;
        args->lens[1] = strlen(redis_scripts[script].text);
        int got = exchange(connection, args, doing, &reply, ret_broke, err);
        args->at[0] = "EVALSHA";
        args->lens[0] = 7;
        args->at[1] = hash.at;
        args->lens[1] = hash.len;
        if (got < 0)
            return -1;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        *ret_broke = is_wrong_server(reply->str);
        (void)redis_error(reply, doing, err);
        freeReplyObject(reply);
        return -1;
    }
    *ret = reply;
    return 0;
}

int redis_bad_reply(enum redis_script script, struct error *err)
{
    return error_set(err, ERROR_STORE, 0, "%s: Redis gave an unexpected reply", redis_scripts[script].name);
}

int redis_call(struct redis_store *store, enum redis_script script, struct redis_args *args, int type, redisReply **ret,
               struct error *err)
{
    uint64_t start_ms = redis_now_ms();
    for (int try = 0;; try++) {
        struct redis_connection *connection;
        bool broke = false;
        redisReply *reply = NULL;
        if (redis_pool_take(&store->pool, &connection, err) < 0)
            return -1;
        if (redis_eval(connection, script, args, &reply, &broke, err) == 0) {
            redis_pool_give(&store->pool, connection);
            if (reply->type != type) {
                freeReplyObject(reply);
                return redis_bad_reply(script, err);
            }
            *ret = reply;
            return 0;
        }
        if (!broke) {
            redis_pool_give(&store->pool, connection);
            return -1;
        }
        redis_pool_drop(&store->pool, connection);
        /* Repeat once, unless the time was spent waiting for a server that does not answer. */
        if (try == 1 || redis_now_ms() - start_ms > 1000)
            return -1;
    }
}

int redis_run(struct redis_store *store, enum redis_script script, int type, redisReply **ret, struct error *err,
              const char *kinds, ...)
{
    auto_args struct redis_args args = { 0 };
    va_list values;
    if (redis_args_init(&args, store, script, strlen(kinds), err) < 0)
        return -1;
    va_start(values, kinds);
    for (; *kinds != '\0'; kinds++) {
        if (*kinds == 'n') {
            redis_args_add_number(&args, va_arg(values, uint64_t));
        } else if (*kinds == 't') {
            redis_args_add(&args, text_of(va_arg(values, const char *)));
        } else {
            assert(*kinds == 'b');
            redis_args_add(&args, va_arg(values, struct text));
        }
    }
    va_end(values);
    return redis_call(store, script, &args, type, ret, err);
}
