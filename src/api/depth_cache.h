/*
 * depth_cache: the store's queue depth for /readyz and /metrics, read at most once a second however many scrape them.
 */
#pragma once
#include "base/error.h"
#include "http/exchange.h"
#include "model/queue_depth.h"

struct depth_cache;
struct store;

/* Responds to the exchange.  `depth` is NULL if the store is unavailable. */
typedef void depth_cache_respond(struct exchange *exchange, const struct queue_depth *depth);

int depth_cache_open(struct store *store, struct depth_cache **ret, struct error *err);
/* Calls `respond` later, on the thread of the cache. */
void depth_cache_get(struct depth_cache *cache, struct exchange *exchange, depth_cache_respond *respond);
/* Answers all pending requests and ends the thread.  NULL is fine. */
void depth_cache_close(struct depth_cache *cache);
