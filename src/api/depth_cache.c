/*
 * depth_cache: a thread that reads the depth for pending requests.  It does not use async_store, so that a long queue
 * of reads there delays no readiness probe.
 */
#include "api/depth_cache.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sync.h"
#include "queue/queue.h"

#define FRESH_US 1000000u

struct depth_request {
    struct exchange *exchange;
    depth_cache_respond *respond;
    struct depth_request *next;
};

struct depth_cache {
    struct store *store;
    pthread_mutex_t lock; /* guards requests and is_ending */
    pthread_cond_t changed;
    struct depth_request *requests;
    bool is_ending;
    pthread_t thread;
    /* used only by the thread: */
    struct queue_depth depth;
    bool is_known;    /* the last read succeeded */
    uint64_t read_us; /* when it was read; 0: never */
};

static void respond_all(struct depth_cache *cache, struct depth_request *requests)
{
    struct error err;

    if (cache->read_us == 0 || clock_mono_us() - cache->read_us >= FRESH_US) {
        cache->is_known = store_depth(cache->store, &cache->depth, &err) == 0;
        if (!cache->is_known)
            log_warn("read the queue depth: %s", err.text);
        cache->read_us = clock_mono_us();
    }
    for (struct depth_request *next; requests != NULL; requests = next) {
        next = requests->next;
        requests->respond(requests->exchange, cache->is_known ? &cache->depth : NULL);
        free(requests);
    }
}

static void *run(void *context)
{
    struct depth_cache *cache = context;

    mutex_lock(&cache->lock);
    while (!cache->is_ending || cache->requests != NULL) {
        struct depth_request *requests = cache->requests;
        if (requests == NULL) {
            cond_wait(&cache->changed, &cache->lock);
            continue;
        }
        cache->requests = NULL;
        mutex_unlock(&cache->lock);
        respond_all(cache, requests);
        mutex_lock(&cache->lock);
    }
    mutex_unlock(&cache->lock);
    return NULL;
}

void depth_cache_get(struct depth_cache *cache, struct exchange *exchange, depth_cache_respond *respond)
{
    struct depth_request *request = calloc(1, sizeof *request);
    struct error err;

    if (request == NULL) {
        error_set(&err, ERROR_BUSY, ENOMEM, "read the queue depth");
        exchange_respond_error(exchange, &err);
        return;
    }
    lock_guard(&cache->lock);
    *request = (struct depth_request){ exchange, respond, cache->requests };
    cache->requests = request;
    cond_signal(&cache->changed);
}

int depth_cache_open(struct store *store, struct depth_cache **ret, struct error *err)
{
    struct depth_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "create the depth cache");
    cache->store = store;
    mutex_init(&cache->lock);
    cond_init(&cache->changed);
    if (thread_start(&cache->thread, "depth-cache", run, cache, err) < 0) {
        free(cache);
        return -1;
    }
    *ret = cache;
    return 0;
}

void depth_cache_close(struct depth_cache *cache)
{
    if (cache == NULL)
        return;
    mutex_lock(&cache->lock);
    cache->is_ending = true;
    cond_signal(&cache->changed);
    mutex_unlock(&cache->lock);
    thread_join(cache->thread);
    (void)pthread_cond_destroy(&cache->changed);
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}
