/*
 * health: the routes for load balancers, service managers and Prometheus.
 */
#include "api/health.h"

#include <inttypes.h>

#include "api/routes.h"
#include "metrics/metrics.h"

#define METRICS_BYTES_MAX (8u << 20)
#define WORKER_CONNECTIONS_MAX 100

void health_alive(struct exchange *exchange, void *context)
{
    struct buf body;
    struct error err;
    (void)context;

    buf_init(&body, 64);
    int failed = buf_printf(&body, &err, "{\"status\":\"ok\"}");
    exchange_respond_result(exchange, &body, failed < 0 ? &err : NULL);
}

static const char *const retry[] = { "Retry-After: 1", NULL };

/* True if it has responded, because the worker of this process cannot run programs. */
static bool refuse_for_worker(struct exchange *exchange, const struct worker_check *check)
{
    struct error err;

    if (check->is_ready == NULL || check->is_ready(check->context, &err))
        return false;
    char text[sizeof err.text + 32];
    (void)snprintf(text, sizeof text, "the sandbox does not work: %s", err.text);
    const struct refusal refusal = { 503, "", text, NULL };
    exchange_respond_refusal(exchange, &refusal, retry);
    return true;
}

/* The end of an object: what does not work although it is ready. */
static int write_images_broken(const struct worker_check *check, struct buf *body, struct error *err)
{
    size_t broken = check->images_broken == NULL ? 0 : check->images_broken(check->context);

    return broken == 0 ? buf_printf(body, err, "}") : buf_printf(body, err, ",\"images_broken\":%zu}", broken);
}

static void respond_with_readiness(struct exchange *exchange, const struct queue_depth *depth)
{
    static const struct refusal no_store = { 503, "", "the store is unavailable", NULL };
    static const struct refusal no_worker = { 503, "", "no worker is alive, so nothing would be run", NULL };
    static const struct refusal no_slot = { 503, "", "no worker has a sandbox that works", NULL };
    const struct api *api = exchange_context(exchange);
    struct buf body;
    struct error err;

    if (depth == NULL || depth->slots == 0) {
        exchange_respond_refusal(exchange,
                                 depth == NULL         ? &no_store
                                 : depth->workers == 0 ? &no_worker
                                                       : &no_slot,
                                 retry);
        return;
    }
    buf_init(&body, 256);
    bool failed =
        buf_printf(&body, &err, "{\"status\":\"ok\",\"workers\":%u,\"slots\":%u", depth->workers, depth->slots) < 0 ||
        write_images_broken(&api->worker_check, &body, &err) < 0;
    exchange_respond_result(exchange, &body, failed ? &err : NULL);
}

void health_ready(struct exchange *exchange, void *context)
{
    struct api *api = context;

    if (!refuse_for_worker(exchange, &api->worker_check))
        depth_cache_get(api->depth_cache, exchange, respond_with_readiness);
}

/* `sockets`: NULL in a worker. */
static int write_memory(const struct exchange *exchange, const struct ws_server *sockets, struct buf *out,
                        struct error *err)
{
    uint64_t bodies, answers;

    if (sockets != NULL && buf_printf(out, err,
                                      "# HELP evalx_websocket_bytes Memory of unsent and half-received messages.\n"
                                      "# TYPE evalx_websocket_bytes gauge\nevalx_websocket_bytes %" PRIu64 "\n",
                                      ws_server_bytes(sockets)) < 0)
        return -1;
    exchange_memory(exchange, &bodies, &answers);
    return buf_printf(out, err,
                      "# HELP evalx_http_body_bytes Memory of request bodies until they are stored.\n"
                      "# TYPE evalx_http_body_bytes gauge\nevalx_http_body_bytes %" PRIu64 "\n"
                      "# HELP evalx_http_answer_bytes Memory of responses being sent.\n"
                      "# TYPE evalx_http_answer_bytes gauge\nevalx_http_answer_bytes %" PRIu64 "\n",
                      bodies, answers);
}

static void respond_with(struct exchange *exchange, const struct queue_depth *depth, const struct ws_server *sockets)
{
    struct buf body;
    struct error err;

    buf_init(&body, METRICS_BYTES_MAX);
    if (metrics_write(depth, &body, &err) < 0 || write_memory(exchange, sockets, &body, &err) < 0) {
        buf_done(&body);
        exchange_respond_error(exchange, &err);
    } else {
        exchange_respond(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &body, NULL);
    }
}

static void respond_with_metrics(struct exchange *exchange, const struct queue_depth *depth)
{
    const struct api *api = exchange_context(exchange);
    respond_with(exchange, depth, api->ws_server);
}

void health_metrics(struct exchange *exchange, void *context)
{
    struct api *api = context;
    depth_cache_get(api->depth_cache, exchange, respond_with_metrics);
}

static void health_worker_metrics(struct exchange *exchange, void *context)
{
    (void)context;
    respond_with(exchange, NULL, NULL);
}

static void health_worker_ready(struct exchange *exchange, void *context)
{
    struct buf body;
    struct error err;

    if (refuse_for_worker(exchange, context))
        return;
    buf_init(&body, 64);
    bool failed = buf_printf(&body, &err, "{\"status\":\"ok\"") < 0 || write_images_broken(context, &body, &err) < 0;
    exchange_respond_result(exchange, &body, failed ? &err : NULL);
}

int health_server_start(const struct config *config, const struct worker_check *check, struct server **ret,
                        struct error *err)
{
    static const struct route routes[] = {
        { "GET", "/healthz", "/healthz", false, health_alive },
        { "GET", "/readyz", "/readyz", false, health_worker_ready },
        { "GET", "/metrics", "/metrics", false, health_worker_metrics },
    };
    char host[64];
    struct server_settings settings = {
        .host = host,
        .routes = routes,
        .routes_len = sizeof routes / sizeof *routes,
        .context = (void *)(uintptr_t)check,
        .on_response = metrics_http,
        .connections_max = WORKER_CONNECTIONS_MAX,
        .descriptors_reserved = check->descriptors,
        .deadline_s = (uint32_t)config->request_deadline_s,
        .cors_origin = "",
    };

    *ret = NULL;
    if (config->worker_listen[0] == '\0')
        return 0;
    if (config_split_listen(config->worker_listen, host, &settings.port, err) < 0 ||
        server_start(&settings, ret, err) < 0)
        return error_within(err, "worker_listen");
    return 0;
}
