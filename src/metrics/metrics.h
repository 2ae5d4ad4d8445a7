/*
 * metrics: the counters and histograms of this process, and their Prometheus text.
 *
 * Metric names are part of the API (docs/guide/API.md).  Values about the queue are not counted here; they are read
 * from the store at each scrape.  Labels come from fixed sets (languages, routes, status codes), so that no client
 * can create series.  Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/queue_depth.h"
#include "model/result.h"

/*
 * Called once, before any thread starts.  The counters of `languages` are shown even while they are zero, but
 * their histograms and verdicts, which are fifty lines a language, only from the first sample on.
 */
void metrics_init(const char *const *languages, size_t languages_len);

/* `route` is the pattern of the route ("/submissions/{token}"), never the path of the request. */
void metrics_http(const char *method, const char *route, unsigned status, uint64_t duration_us);
void metrics_execution(const char *language, uint64_t wall_us);
void metrics_queue_wait(const char *language, uint64_t waited_ms);
void metrics_cache(const char *language, bool hit);
void metrics_verdict(const char *language, enum verdict verdict);

/* Whether a slot of this worker works.  The first call makes the series appear; only a change counts as a failure. */
void metrics_sandbox(bool works);
/* How many images of this worker are broken, so that it does not serve their languages. */
void metrics_images_broken(size_t broken);
/* Bytes that compiled programs of running submissions take. */
void metrics_artifacts(uint64_t memory, uint64_t disk);
/* A submission was returned to the store because this host failed to run it. */
void metrics_returned(void);

/* Appends the text to *out.  If `depth` is NULL, the store did not answer, and its values are omitted. */
int metrics_write(const struct queue_depth *depth, struct buf *out, struct error *err);
