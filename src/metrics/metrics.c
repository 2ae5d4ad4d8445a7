/*
 * metrics: see the header.  The text is in Prometheus' exposition format 0.0.4.
 *
 * There are at most a few hundred increments a second, each under one lock for some nanoseconds.  Atomics would gain
 * nothing, and the lock keeps the buckets, the sum and the count of a histogram consistent.
 */
#include "metrics/metrics.h"

#include <assert.h>
#include <inttypes.h>

#include "base/sync.h"
#include "metrics/process.h"
#include "model/submission.h"

#define LANGUAGES_MAX 1024
#define LABEL_BYTES 64
#define HTTP_SERIES_MAX 512 /* routes x methods x status codes; more are not counted */
#define BUCKETS_MAX 16

/* Upper bounds in microseconds, ascending, without +Inf. */
static const uint64_t http_bounds[] = { 500,    1000,   2500,    5000,    10000,   25000,    50000,    100000,
                                        250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000 };
static const uint64_t run_bounds[] = { 1000,   2500,    5000,    10000,   25000,    50000,    100000,   250000,
                                       500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 120000000 };
#define BOUNDS_LEN(bounds) (sizeof(bounds) / sizeof *(bounds))
static_assert(BOUNDS_LEN(http_bounds) <= BUCKETS_MAX, "every bound has a bucket");
static_assert(BOUNDS_LEN(run_bounds) <= BUCKETS_MAX, "every bound has a bucket");

struct histogram {
    uint64_t buckets[BUCKETS_MAX]; /* not cumulative; values above the last bound are only in `count` */
    uint64_t count, sum_us;
};

struct language_series {
    char name[LABEL_BYTES];
    struct histogram execution, queue_wait;
    uint64_t cache_hits, cache_misses;
    uint64_t verdicts[VERDICT_COUNT_];
};

struct http_series {
    char method[12];
    char route[LABEL_BYTES];
    unsigned status; /* 0: this entry has the histogram of method and route */
    uint64_t count;
    struct histogram duration;
};

static struct {
    pthread_mutex_t lock;
    struct language_series languages[LANGUAGES_MAX];
    size_t languages_len;
    struct http_series http[HTTP_SERIES_MAX];
    size_t http_len;
    bool has_sandbox, sandbox_works;
    uint64_t sandbox_failures, returned, images_broken;
    uint64_t artifacts_memory, artifacts_disk;
} metrics = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- counting ------------------------------------------------------------------------------------------------- */

static void observe(struct histogram *histogram, const uint64_t bounds[], size_t bounds_len, uint64_t us)
{
    histogram->count++;
    histogram->sum_us += us;
    for (size_t i = 0; i < bounds_len; i++) {
        if (us <= bounds[i]) {
            histogram->buckets[i]++;
            return;
        }
    }
}

void metrics_init(const char *const *languages, size_t languages_len)
{
    lock_guard(&metrics.lock);
    memset(metrics.languages, 0, sizeof metrics.languages);
    memset(metrics.http, 0, sizeof metrics.http);
    metrics.languages_len = metrics.http_len = 0;
    /* The last entry is kept for "other". */
    for (size_t i = 0; i < languages_len && i < LANGUAGES_MAX - 1; i++)
        (void)snprintf(metrics.languages[metrics.languages_len++].name, LABEL_BYTES, "%s", languages[i]);
}

/* With the lock held.  A language unknown to metrics_init counts as "other", so that no job can create a series. */
static struct language_series *language_series(const char *language)
{
    for (size_t i = 0; i < metrics.languages_len; i++)
        if (strcmp(metrics.languages[i].name, language) == 0)
            return &metrics.languages[i];
    if (strcmp(language, "other") != 0)
        return language_series("other");
    assert(metrics.languages_len < LANGUAGES_MAX);
    struct language_series *other = &metrics.languages[metrics.languages_len++];
    (void)snprintf(other->name, LABEL_BYTES, "other");
    return other;
}

/* With the lock held.  NULL if the table is full. */
static struct http_series *http_series(const char *method, const char *route, unsigned status)
{
    for (size_t i = 0; i < metrics.http_len; i++) {
        struct http_series *at = &metrics.http[i];
        if (at->status == status && strcmp(at->route, route) == 0 && strcmp(at->method, method) == 0)
            return at;
    }
    if (metrics.http_len == HTTP_SERIES_MAX)
        return NULL;
    struct http_series *added = &metrics.http[metrics.http_len++];
    (void)snprintf(added->method, sizeof added->method, "%s", method);
    (void)snprintf(added->route, sizeof added->route, "%s", route);
    added->status = status;
    return added;
}

void metrics_http(const char *method, const char *route, unsigned status, uint64_t duration_us)
{
    assert(status > 0);
    lock_guard(&metrics.lock);
    struct http_series *total = http_series(method, route, status);
    struct http_series *duration = http_series(method, route, 0);
    if (total != NULL)
        total->count++;
    if (duration != NULL)
        observe(&duration->duration, http_bounds, BOUNDS_LEN(http_bounds), duration_us);
}

void metrics_execution(const char *language, uint64_t wall_us)
{
    lock_guard(&metrics.lock);
    observe(&language_series(language)->execution, run_bounds, BOUNDS_LEN(run_bounds), wall_us);
}

void metrics_queue_wait(const char *language, uint64_t waited_ms)
{
    lock_guard(&metrics.lock);
    observe(&language_series(language)->queue_wait, run_bounds, BOUNDS_LEN(run_bounds), waited_ms * 1000u);
}

void metrics_cache(const char *language, bool hit)
{
    lock_guard(&metrics.lock);
    struct language_series *series = language_series(language);
    if (hit)
        series->cache_hits++;
    else
        series->cache_misses++;
}

void metrics_verdict(const char *language, enum verdict verdict)
{
    assert((unsigned)verdict < VERDICT_COUNT_);
    lock_guard(&metrics.lock);
    language_series(language)->verdicts[verdict]++;
}

void metrics_images_broken(size_t broken)
{
    lock_guard(&metrics.lock);
    metrics.images_broken = broken;
}

void metrics_sandbox(bool works)
{
    lock_guard(&metrics.lock);
    if (metrics.has_sandbox && metrics.sandbox_works && !works)
        metrics.sandbox_failures++;
    metrics.has_sandbox = true;
    metrics.sandbox_works = works;
}

void metrics_artifacts(uint64_t memory, uint64_t disk)
{
    lock_guard(&metrics.lock);
    metrics.artifacts_memory = memory;
    metrics.artifacts_disk = disk;
}

void metrics_returned(void)
{
    lock_guard(&metrics.lock);
    metrics.returned++;
}

/* ---- exposition -------------------------------------------------------------------------------------------------- */

/* Writes name="value", with backslash, quote and line feed in the value escaped. */
static int write_label(const char *name, const char *value, struct buf *out, struct error *err)
{
    if (buf_printf(out, err, "%s=\"", name) < 0)
        return -1;
    for (; *value != '\0'; value++) {
        const char *escape = *value == '\\' ? "\\\\" : *value == '"' ? "\\\"" : *value == '\n' ? "\\n" : NULL;
        int failed = escape != NULL ? buf_append(out, escape, 2, err) : buf_append(out, value, 1, err);
        if (failed < 0)
            return -1;
    }
    return buf_append(out, "\"", 1, err);
}

static int write_head(const char *name, const char *type, const char *help, struct buf *out, struct error *err)
{
    return buf_printf(out, err, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Writes name{language="..."; the caller adds further labels and the closing brace. */
static int write_language_begin(const char *name, const char *language, struct buf *out, struct error *err)
{
    return buf_printf(out, err, "%s{", name) < 0 ? -1 : write_label("language", language, out, err);
}

/* `labels` are all labels between the braces except `le`. */
static int write_histogram(const char *name, struct text labels, const struct histogram *histogram,
                           const uint64_t bounds[], size_t bounds_len, struct buf *out, struct error *err)
{
    uint64_t below = 0;

    for (size_t i = 0; i < bounds_len; i++) {
        below += histogram->buckets[i];
        if (buf_printf(out, err, "%s_bucket{%.*s,le=\"%g\"} %" PRIu64 "\n", name, TEXT_ARG(labels),
                       (double)bounds[i] / 1e6, below) < 0)
            return -1;
    }
    return buf_printf(out, err,
                      "%s_bucket{%.*s,le=\"+Inf\"} %" PRIu64 "\n%s_sum{%.*s} %" PRIu64 ".%06" PRIu64
                      "\n%s_count{%.*s} %" PRIu64 "\n",
                      name, TEXT_ARG(labels), histogram->count, name, TEXT_ARG(labels), histogram->sum_us / 1000000u,
                      histogram->sum_us % 1000000u, name, TEXT_ARG(labels), histogram->count);
}

static int http_labels(const struct http_series *at, struct buf *labels, struct error *err)
{
    buf_clear(labels);
    return buf_printf(labels, err, "method=\"%s\",", at->method) < 0 ? -1 : write_label("path", at->route, labels, err);
}

static int write_http(struct buf *out, struct error *err)
{
    auto_buf struct buf labels = { 0 };

    buf_init(&labels, 1024);
    if (write_head("http_requests_total", "counter", "HTTP requests answered, by method, route and status.", out, err) <
        0)
        return -1;
    for (size_t i = 0; i < metrics.http_len; i++)
        if (metrics.http[i].status != 0 &&
            (http_labels(&metrics.http[i], &labels, err) < 0 ||
             buf_printf(out, err, "http_requests_total{%.*s,status=\"%u\"} %" PRIu64 "\n", TEXT_ARG(buf_text(&labels)),
                        metrics.http[i].status, metrics.http[i].count) < 0))
            return -1;
    if (write_head("http_request_duration_seconds", "histogram",
                   "Time from the head of a request to its answer, including long polls (?wait=).", out, err) < 0)
        return -1;
    for (size_t i = 0; i < metrics.http_len; i++)
        if (metrics.http[i].status == 0 &&
            (http_labels(&metrics.http[i], &labels, err) < 0 ||
             write_histogram("http_request_duration_seconds", buf_text(&labels), &metrics.http[i].duration, http_bounds,
                             BOUNDS_LEN(http_bounds), out, err) < 0))
            return -1;
    return 0;
}

static int write_language_histogram(const char *name, const char *help, size_t offset, struct buf *out,
                                    struct error *err)
{
    auto_buf struct buf labels = { 0 };

    buf_init(&labels, 1024);
    if (write_head(name, "histogram", help, out, err) < 0)
        return -1;
    for (size_t i = 0; i < metrics.languages_len; i++) {
        const struct language_series *at = &metrics.languages[i];
        const struct histogram *histogram = (const void *)((const char *)at + offset);
        if (histogram->count == 0)
            continue;
        buf_clear(&labels);
        if (write_label("language", at->name, &labels, err) < 0 ||
            write_histogram(name, buf_text(&labels), histogram, run_bounds, BOUNDS_LEN(run_bounds), out, err) < 0)
            return -1;
    }
    return 0;
}

static int write_language_counter(const char *name, const char *help, size_t offset, struct buf *out, struct error *err)
{
    if (write_head(name, "counter", help, out, err) < 0)
        return -1;
    for (size_t i = 0; i < metrics.languages_len; i++) {
        const struct language_series *at = &metrics.languages[i];
        uint64_t count = *(const uint64_t *)(const void *)((const char *)at + offset);
        if (write_language_begin(name, at->name, out, err) < 0 || buf_printf(out, err, "} %" PRIu64 "\n", count) < 0)
            return -1;
    }
    return 0;
}

static int write_verdicts(struct buf *out, struct error *err)
{
    static const char name[] = "evalx_verdicts_total";

    if (write_head(name, "counter", "Test results, by language and verdict.", out, err) < 0)
        return -1;
    for (size_t i = 0; i < metrics.languages_len; i++)
        for (unsigned v = 0; v < VERDICT_COUNT_; v++)
            if (metrics.languages[i].verdicts[v] > 0 &&
                (write_language_begin(name, metrics.languages[i].name, out, err) < 0 ||
                 buf_printf(out, err, ",verdict=\"%s\"} %" PRIu64 "\n", verdict_name((enum verdict)v),
                            metrics.languages[i].verdicts[v]) < 0))
                return -1;
    return 0;
}

/* ---- values from the store ----------------------------------------------------------------------------------- */

static bool is_known_queue(const char *queue)
{
    for (size_t i = 0; i < metrics.languages_len; i++)
        if (strcmp(metrics.languages[i].name, queue) == 0)
            return true;
    return false;
}

static uint64_t waiting_in(const struct queue_depth *depth, const char *queue)
{
    for (size_t i = 0; i < depth->queues_len; i++)
        if (strcmp(depth->queues[i].queue, queue) == 0)
            return depth->queues[i].waiting;
    return 0;
}

static int write_queue(const char *queue, uint64_t waiting, struct buf *out, struct error *err)
{
    if (write_language_begin("evalx_queue_depth_total", queue, out, err) < 0)
        return -1;
    return buf_printf(out, err, "} %" PRIu64 "\n", waiting);
}

static int write_gauge(const char *name, const char *help, uint64_t value, struct buf *out, struct error *err)
{
    if (write_head(name, "gauge", help, out, err) < 0)
        return -1;
    return buf_printf(out, err, "%s %" PRIu64 "\n", name, value);
}

static int write_counter(const char *name, const char *help, uint64_t value, struct buf *out, struct error *err)
{
    return write_head(name, "counter", help, out, err) < 0 ? -1 : buf_printf(out, err, "%s %" PRIu64 "\n", name, value);
}

/* Of a process that runs programs. */
static int write_sandbox(struct buf *out, struct error *err)
{
    if (!metrics.has_sandbox)
        return 0;
    if (write_gauge("evalx_sandbox_works", "1 if this worker's sandbox works, 0 until it passes its self-test.",
                    metrics.sandbox_works, out, err) < 0 ||
        write_gauge("evalx_images_broken", "Images whose languages this worker does not serve, because they failed.",
                    metrics.images_broken, out, err) < 0 ||
        write_gauge("evalx_artifact_memory_bytes", "Memory of compiled programs of running submissions.",
                    metrics.artifacts_memory, out, err) < 0 ||
        write_gauge("evalx_artifact_disk_bytes", "Disk space of compiled programs of running submissions.",
                    metrics.artifacts_disk, out, err) < 0 ||
        write_counter("evalx_sandbox_failures_total", "How often the sandbox of this worker failed.",
                      metrics.sandbox_failures, out, err) < 0)
        return -1;
    return write_counter("evalx_submissions_returned_total",
                         "Submissions given back to the queue because this host failed to run them.", metrics.returned,
                         out, err);
}

static int write_depth(const struct queue_depth *depth, struct buf *out, struct error *err)
{
    if (write_head("evalx_queue_depth_total", "gauge", "Waiting submissions, by language.", out, err) < 0)
        return -1;
    for (size_t i = 0; i < metrics.languages_len; i++)
        if (write_queue(metrics.languages[i].name, waiting_in(depth, metrics.languages[i].name), out, err) < 0)
            return -1;
    if (write_queue(QUEUE_MIXED, waiting_in(depth, QUEUE_MIXED), out, err) < 0)
        return -1;
    /* Queues of languages that only other machines have.  This process does not know them, so they show no zeros. */
    for (size_t i = 0; i < depth->queues_len; i++)
        if (!is_known_queue(depth->queues[i].queue) && strcmp(depth->queues[i].queue, QUEUE_MIXED) != 0 &&
            write_queue(depth->queues[i].queue, depth->queues[i].waiting, out, err) < 0)
            return -1;

    if (write_gauge("evalx_queue_depth", "Waiting submissions.", depth->waiting, out, err) < 0 ||
        write_gauge("evalx_jobs_running", "Submissions that workers hold a lease on.", depth->running, out, err) < 0 ||
        write_gauge("evalx_dead_submissions", "Submissions in the dead-letter list.", depth->dead, out, err) < 0 ||
        write_gauge("evalx_queue_bytes", "Bytes of waiting and running submissions.", depth->queue_bytes, out, err) <
            0 ||
        write_gauge("evalx_queue_bytes_max", "Bytes at which submissions are refused.", depth->queue_bytes_max, out,
                    err) < 0 ||
        write_gauge("evalx_results_bytes", "Bytes of stored results.", depth->results_bytes, out, err) < 0 ||
        write_gauge("evalx_results_bytes_max", "Bytes at which submissions are refused and none is run.",
                    depth->results_bytes_max, out, err) < 0 ||
        write_gauge("evalx_workers", "Live workers: the latest heartbeat is not older than a lease.", depth->workers,
                    out, err) < 0 ||
        write_gauge("evalx_slots", "Slots of all live workers.", depth->slots, out, err) < 0 ||
        write_head("evalx_oldest_wait_seconds", "gauge", "Time that the oldest waiting submission has waited.", out,
                   err) < 0)
        return -1;
    if (buf_printf(out, err, "evalx_oldest_wait_seconds %" PRIu64 ".%03" PRIu64 "\n", depth->oldest_wait_ms / 1000u,
                   depth->oldest_wait_ms % 1000u) < 0 ||
        write_head("evalx_slots_busy", "gauge", "Busy slots, averaged between two heartbeats.", out, err) < 0)
        return -1;
    return buf_printf(out, err, "evalx_slots_busy %" PRIu64 ".%03" PRIu64 "\n", depth->busy_milli / 1000u,
                      depth->busy_milli % 1000u);
}

static int write_all(const struct queue_depth *depth, struct buf *out, struct error *err)
{
    if (depth != NULL && write_depth(depth, out, err) < 0)
        return -1;
    if (write_http(out, err) < 0 ||
        write_language_histogram("evalx_execution_time_seconds", "Wall time of test runs.",
                                 offsetof(struct language_series, execution), out, err) < 0 ||
        write_language_histogram("evalx_queue_wait_time_seconds", "Time from the submission to its claim by a worker.",
                                 offsetof(struct language_series, queue_wait), out, err) < 0 ||
        write_language_counter("evalx_cache_hits_total", "Programs found in the artifact cache.",
                               offsetof(struct language_series, cache_hits), out, err) < 0 ||
        write_language_counter("evalx_cache_misses_total",
                               "Programs that were compiled, because they were not in the cache.",
                               offsetof(struct language_series, cache_misses), out, err) < 0 ||
        write_verdicts(out, err) < 0 || write_sandbox(out, err) < 0)
        return -1;
    return process_write(out, err);
}

int metrics_write(const struct queue_depth *depth, struct buf *out, struct error *err)
{
    lock_guard(&metrics.lock);
    return write_all(depth, out, err);
}
