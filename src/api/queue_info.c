/* queue_info: GET /queue and GET /workers, read from the store for each request. */
#include <errno.h>
#include <stdlib.h>

#include "api/routes.h"
#include "base/json_write.h"

#define BODY_BYTES_MAX (8u << 20)

struct queue_request {
    struct exchange *exchange;
    struct queue_depth depth;
};

struct workers_request {
    struct exchange *exchange;
    size_t len;
    struct store_worker_view workers[STORE_WORKERS_MAX];
};

static void fail(struct exchange *exchange, void *request, const struct error *err)
{
    exchange_respond_error(exchange, err);
    free(request);
}

/* ---- GET /queue ------------------------------------------------------------------------------------------------ */

static int read_depth(struct store *store, void *context, struct error *err)
{
    struct queue_request *request = context;
    return store_depth(store, &request->depth, err);
}

static int write_depth(const struct queue_depth *depth, struct buf *out, struct error *err)
{
    if (buf_printf(out, err, "{\"waiting\":%llu,\"running\":%llu,\"dead\":%llu", (unsigned long long)depth->waiting,
                   (unsigned long long)depth->running, (unsigned long long)depth->dead) < 0 ||
        buf_printf(out, err, ",\"workers\":%u,\"slots\":%u,\"slots_busy\":", depth->workers, depth->slots) < 0 ||
        json_write_seconds(out, depth->busy_milli * 1000, err) < 0 ||
        buf_printf(out, err, ",\"queue_bytes\":%llu,\"queue_bytes_max\":%llu", (unsigned long long)depth->queue_bytes,
                   (unsigned long long)depth->queue_bytes_max) < 0 ||
        buf_printf(out, err, ",\"results_bytes\":%llu,\"results_bytes_max\":%llu",
                   (unsigned long long)depth->results_bytes, (unsigned long long)depth->results_bytes_max) < 0 ||
        buf_printf(out, err, ",\"oldest_wait_seconds\":") < 0 ||
        json_write_seconds(out, depth->oldest_wait_ms * 1000, err) < 0 || buf_printf(out, err, ",\"languages\":[") < 0)
        return -1;
    for (size_t i = 0; i < depth->queues_len; i++) {
        if (buf_printf(out, err, "%s{\"language\":", i > 0 ? "," : "") < 0 ||
            json_write_string(out, text_of(depth->queues[i].queue), NULL, err) < 0 ||
            buf_printf(out, err, ",\"waiting\":%llu,\"running\":%llu", (unsigned long long)depth->queues[i].waiting,
                       (unsigned long long)depth->queues[i].running) < 0)
            return -1;
        for (unsigned priority = 0; priority < PRIORITY_COUNT_; priority++)
            if (buf_printf(out, err, ",\"%s\":%llu", submission_priority_name((enum submission_priority)priority),
                           (unsigned long long)depth->queues[i].waiting_by[priority]) < 0)
                return -1;
        if (buf_append(out, "}", 1, err) < 0)
            return -1;
    }
    return buf_printf(out, err, "]}");
}

static void on_depth(void *context, const struct error *err)
{
    struct queue_request *request = context;
    struct error write_err = { 0 };
    struct buf body;

    buf_init(&body, BODY_BYTES_MAX);
    if (err == NULL && write_depth(&request->depth, &body, &write_err) < 0)
        err = &write_err;
    exchange_respond_result(request->exchange, &body, err);
    free(request);
}

void queue_info_show(struct exchange *exchange, void *context)
{
    struct api *api = context;
    struct error err = { 0 };
    struct queue_request *request = calloc(1, sizeof *request);

    if (request == NULL) {
        error_set(&err, ERROR_BUSY, ENOMEM, "read the queue depth");
        fail(exchange, request, &err);
        return;
    }
    request->exchange = exchange;
    if (async_store_read(api->async_store, read_depth, on_depth, request, &err) < 0)
        fail(exchange, request, &err);
}

/* ---- GET /workers ---------------------------------------------------------------------------------------------- */

static int read_workers(struct store *store, void *context, struct error *err)
{
    struct workers_request *request = context;
    return store_workers(store, request->workers, STORE_WORKERS_MAX, &request->len, err);
}

static int write_workers(const struct workers_request *request, struct buf *out, struct error *err)
{
    if (buf_append(out, "[", 1, err) < 0)
        return -1;
    for (size_t i = 0; i < request->len; i++) {
        const struct store_worker_view *worker = &request->workers[i];
        if (buf_printf(out, err, "%s{\"name\":", i > 0 ? "," : "") < 0 ||
            json_write_string(out, text_of(worker->name), NULL, err) < 0 ||
            buf_printf(out, err, ",\"slots\":%u,\"slots_busy\":", worker->slots) < 0 ||
            json_write_seconds(out, (uint64_t)worker->busy_milli * 1000, err) < 0 ||
            buf_printf(out, err, ",\"running\":%u,\"heartbeat_seconds_ago\":", worker->running) < 0 ||
            json_write_seconds(out, worker->beat_ago_ms * 1000, err) < 0 || buf_append(out, "}", 1, err) < 0)
            return -1;
    }
    return buf_append(out, "]", 1, err);
}

static void on_workers(void *context, const struct error *err)
{
    struct workers_request *request = context;
    struct error write_err = { 0 };
    struct buf body;

    buf_init(&body, BODY_BYTES_MAX);
    if (err == NULL && write_workers(request, &body, &write_err) < 0)
        err = &write_err;
    exchange_respond_result(request->exchange, &body, err);
    free(request);
}

void queue_info_workers(struct exchange *exchange, void *context)
{
    struct api *api = context;
    struct error err = { 0 };
    struct workers_request *request = calloc(1, sizeof *request);

    if (request == NULL) {
        error_set(&err, ERROR_BUSY, ENOMEM, "read the list of workers");
        fail(exchange, request, &err);
        return;
    }
    request->exchange = exchange;
    if (async_store_read(api->async_store, read_workers, on_workers, request, &err) < 0)
        fail(exchange, request, &err);
}
