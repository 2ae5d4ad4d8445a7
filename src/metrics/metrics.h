/*
 * metrics: counters and histograms of this process, and the Prometheus text of them.
 * Names are those older clients know (docs/guide/API.md); figures about the queue are not kept here but read from the store
 * at each scrape.
 * Labels come from fixed sets (languages, routes, status codes), so a client cannot make series.
 * Any thread.
 */
#pragma once
#include <stdint.h>

#include "base/buf.h"
#include "model/queue_depth.h"
#include "model/result.h"

/* Must be called once, before threads: `languages` are the lanes shown with zeros while idle. */
void metrics_init(const char *const *languages, size_t languages_len);

/* `route` is a route's pattern ("/submissions/{token}"), never the path a client sent. */
void metrics_http(const char *method, const char *route, unsigned status, uint64_t duration_us);
void metrics_execution(const char *language, uint64_t wall_us);
void metrics_queue_wait(const char *language, uint64_t waited_ms);
void metrics_cache(const char *language, bool hit);
void metrics_verdict(const char *language, enum verdict verdict);

/* `depth` NULL: the store did not answer; figures that come from it are then left out, never repeated. */
int metrics_write(const struct queue_depth *depth, struct buf *out, struct error *err);
