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

struct asker {
    struct exchange *exchange;
    bool wants_metrics; /* else readiness */
    struct asker *next;
};

struct keeper {
    struct api *api;
    pthread_mutex_t lock; /* askers, is_ending */
    pthread_cond_t asked;
    struct asker *askers;
    bool is_ending;
    pthread_t thread;
    /* the keeper's own: */
    struct store_depth depth;
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

static void answer_ready(struct exchange *exchange, const struct store_depth *depth)
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

static void answer_metrics(struct exchange *exchange, const struct store_depth *depth)
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

static void serve(struct keeper *keeper, struct asker *askers)
{
    uint64_t now = clock_mono_us();

    if (keeper->depth_us == 0 || now - keeper->depth_us >= DEPTH_FRESH_US) {
        keeper->depth_error = (struct error){ 0 };
        if (store_depth(keeper->api->store, &keeper->depth, &keeper->depth_error) < 0)
            log_warn("read the depth of the queue: %s", keeper->depth_error.text);
        keeper->depth_us = clock_mono_us();
    }
    const struct store_depth *depth = keeper->depth_error.kind == ERROR_NONE ? &keeper->depth : NULL;
    for (struct asker *next; askers != NULL; askers = next) {
        next = askers->next;
        if (askers->wants_metrics)
            answer_metrics(askers->exchange, depth);
        else
            answer_ready(askers->exchange, depth);
        free(askers);
    }
}

static void *keep(void *context)
{
    struct keeper *keeper = context;

    (void)pthread_mutex_lock(&keeper->lock);
    while (!keeper->is_ending || keeper->askers != NULL) {
        struct asker *askers = keeper->askers;
        if (askers == NULL) {
            (void)pthread_cond_wait(&keeper->asked, &keeper->lock);
            continue;
        }
        keeper->askers = NULL;
        (void)pthread_mutex_unlock(&keeper->lock);
        serve(keeper, askers);
        (void)pthread_mutex_lock(&keeper->lock);
    }
    (void)pthread_mutex_unlock(&keeper->lock);
    return NULL;
}

static void ask(struct keeper *keeper, struct exchange *exchange, bool wants_metrics)
{
    struct asker *asker = calloc(1, sizeof *asker);
    struct error err;

    if (asker == NULL) {
        error_set(&err, ERROR_BUSY, ENOMEM, "ask for the state of the queue");
        exchange_answer_error(exchange, &err);
        return;
    }
    (void)pthread_mutex_lock(&keeper->lock);
    *asker = (struct asker){ exchange, wants_metrics, keeper->askers };
    keeper->askers = asker;
    (void)pthread_cond_signal(&keeper->asked);
    (void)pthread_mutex_unlock(&keeper->lock);
}

void health_ready(struct exchange *exchange, void *context)
{
    struct api *api = context;
    ask(api->keeper, exchange, false);
}

void health_metrics(struct exchange *exchange, void *context)
{
    struct api *api = context;
    ask(api->keeper, exchange, true);
}

int keeper_open(struct api *api, struct keeper **ret, struct error *err)
{
    struct keeper *keeper = calloc(1, sizeof *keeper);

    if (keeper == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "open the keeper");
    keeper->api = api;
    (void)pthread_mutex_init(&keeper->lock, NULL);
    (void)pthread_cond_init(&keeper->asked, NULL);
    int os = pthread_create(&keeper->thread, NULL, keep, keeper);
    if (os != 0) {
        free(keeper);
        return error_set(err, ERROR_SETUP, os, "start the keeper");
    }
    *ret = keeper;
    return 0;
}

void keeper_close(struct keeper *keeper)
{
    if (keeper == NULL)
        return;
    (void)pthread_mutex_lock(&keeper->lock);
    keeper->is_ending = true;
    (void)pthread_cond_signal(&keeper->asked);
    (void)pthread_mutex_unlock(&keeper->lock);
    (void)pthread_join(keeper->thread, NULL);
    (void)pthread_cond_destroy(&keeper->asked);
    (void)pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}
