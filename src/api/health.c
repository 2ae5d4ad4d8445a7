/*
 * health: /healthz, /readyz and /metrics, and the keeper.
 *
 * The keeper is the one thread of the API that may block on the store: it reads the depth for those who ask, at most
 * once a second.
 */
#include <errno.h>
#include <pthread.h>

#include "api/answer.h"
#include "api/routes.h"
#include "base/clock.h"
#include "base/log.h"
#include "metrics/metrics.h"

#define DEPTH_FRESH_US 1000000u
#define METRICS_BYTES_MAX (8u << 20)

struct waiter {
    struct exchange *exchange;
    bool wants_metrics; /* else readiness */
    struct waiter *next;
};

struct depth_cache {
    struct api *api;
    pthread_mutex_t lock; /* askers, is_ending */
    pthread_cond_t asked;
    struct waiter *waiters;
    bool is_ending;
    pthread_t thread;
    /* the keeper's own: */
    struct queue_depth depth;
    struct error depth_error; /* kind ERROR_NONE: `depth` holds */
    uint64_t depth_us;        /* when it was read; 0: never */
};

void health_alive(struct exchange *exchange, void *api)
{
    struct buf body;
    struct error err;
    (void)api;

    buf_init(&body, 64);
    if (buf_printf(&body, &err, "{\"status\":\"ok\"}") < 0)
        exchange_answer_error(exchange, &err);
    else
        exchange_answer_json(exchange, 200, &body);
}

static void answer_ready(struct exchange *exchange, const struct queue_depth *depth)
{
    static const struct refusal no_worker = { 503, "", "no worker is alive, so nothing would be run" };
    struct refusal no_store = { 503, "", "the store does not answer" };
    static const char *const retry[] = { "Retry-After: 1", NULL };
    struct buf body;
    struct error err;

    if (depth == NULL || depth->workers == 0) {
        exchange_answer_refusal(exchange, depth == NULL ? &no_store : &no_worker, retry);
        return;
    }
    buf_init(&body, 256);
    if (buf_printf(&body, &err, "{\"status\":\"ok\",\"workers\":%u,\"slots\":%u}", depth->workers, depth->slots) < 0)
        exchange_answer_error(exchange, &err);
    else
        exchange_answer_json(exchange, 200, &body);
}

static void answer_metrics(struct exchange *exchange, const struct queue_depth *depth)
{
    struct buf body;
    struct error err;

    buf_init(&body, METRICS_BYTES_MAX);
    if (metrics_write(depth, &body, &err) < 0) {
        buf_done(&body);
        exchange_answer_error(exchange, &err);
    } else {
        exchange_answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &body, NULL);
    }
}

static void serve(struct depth_cache *depth_cache, struct waiter *waiters)
{
    uint64_t now = clock_mono_us();

    if (depth_cache->depth_us == 0 || now - depth_cache->depth_us >= DEPTH_FRESH_US) {
        depth_cache->depth_error = (struct error){ 0 };
        if (store_depth(depth_cache->api->store, &depth_cache->depth, &depth_cache->depth_error) < 0)
            log_warn("read the depth of the queue: %s", depth_cache->depth_error.text);
        depth_cache->depth_us = clock_mono_us();
    }
    const struct queue_depth *depth = depth_cache->depth_error.kind == ERROR_NONE ? &depth_cache->depth : NULL;
    for (struct waiter *next; waiters != NULL; waiters = next) {
        next = waiters->next;
        if (waiters->wants_metrics)
            answer_metrics(waiters->exchange, depth);
        else
            answer_ready(waiters->exchange, depth);
        free(waiters);
    }
}

static void *keep(void *context)
{
    struct depth_cache *depth_cache = context;

    (void)pthread_mutex_lock(&depth_cache->lock);
    while (!depth_cache->is_ending || depth_cache->waiters != NULL) {
        struct waiter *waiters = depth_cache->waiters;
        if (waiters == NULL) {
            (void)pthread_cond_wait(&depth_cache->asked, &depth_cache->lock);
            continue;
        }
        depth_cache->waiters = NULL;
        (void)pthread_mutex_unlock(&depth_cache->lock);
        serve(depth_cache, waiters);
        (void)pthread_mutex_lock(&depth_cache->lock);
    }
    (void)pthread_mutex_unlock(&depth_cache->lock);
    return NULL;
}

static void ask(struct depth_cache *depth_cache, struct exchange *exchange, bool wants_metrics)
{
    struct waiter *waiter = calloc(1, sizeof *waiter);
    struct error err;

    if (waiter == NULL) {
        error_set(&err, ERROR_BUSY, ENOMEM, "ask for the state of the queue");
        exchange_answer_error(exchange, &err);
        return;
    }
    (void)pthread_mutex_lock(&depth_cache->lock);
    *waiter = (struct waiter){ exchange, wants_metrics, depth_cache->waiters };
    depth_cache->waiters = waiter;
    (void)pthread_cond_signal(&depth_cache->asked);
    (void)pthread_mutex_unlock(&depth_cache->lock);
}

void health_ready(struct exchange *exchange, void *context)
{
    struct api *api = context;
    ask(api->depth_cache, exchange, false);
}

void health_metrics(struct exchange *exchange, void *context)
{
    struct api *api = context;
    ask(api->depth_cache, exchange, true);
}

int depth_cache_open(struct api *api, struct depth_cache **ret, struct error *err)
{
    struct depth_cache *depth_cache = calloc(1, sizeof *depth_cache);

    if (depth_cache == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "open the keeper");
    depth_cache->api = api;
    (void)pthread_mutex_init(&depth_cache->lock, NULL);
    (void)pthread_cond_init(&depth_cache->asked, NULL);
    int os = pthread_create(&depth_cache->thread, NULL, keep, depth_cache);
    if (os != 0) {
        free(depth_cache);
        return error_set(err, ERROR_SETUP, os, "start the keeper");
    }
    *ret = depth_cache;
    return 0;
}

void depth_cache_close(struct depth_cache *depth_cache)
{
    if (depth_cache == NULL)
        return;
    (void)pthread_mutex_lock(&depth_cache->lock);
    depth_cache->is_ending = true;
    (void)pthread_cond_signal(&depth_cache->asked);
    (void)pthread_mutex_unlock(&depth_cache->lock);
    (void)pthread_join(depth_cache->thread, NULL);
    (void)pthread_cond_destroy(&depth_cache->asked);
    (void)pthread_mutex_destroy(&depth_cache->lock);
    free(depth_cache);
}
