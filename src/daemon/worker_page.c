/* worker_page: see the header. */
#include "daemon/worker_page.h"

#include "metrics/metrics.h"

#define METRICS_BYTES_MAX (4u << 20)
#define CONNECTIONS_MAX 100

static void show_health(struct exchange *exchange, void *context)
{
    struct buf body;
    struct error err;

    (void)context;
    buf_init(&body, 64);
    if (buf_append_text(&body, TEXT("{\"status\":\"ok\"}"), &err) < 0)
        exchange_answer_error(exchange, &err);
    else
        exchange_answer_json(exchange, 200, &body);
}

/* Without the metrics of the queue, which API servers export: they are the same wherever they are read. */
static void show_metrics(struct exchange *exchange, void *context)
{
    struct buf body;
    struct error err;

    (void)context;
    buf_init(&body, METRICS_BYTES_MAX);
    if (metrics_write(NULL, &body, &err) < 0) {
        buf_done(&body);
        exchange_answer_error(exchange, &err);
    } else {
        exchange_answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &body, NULL);
    }
}

int worker_page_start(const struct config *config, struct server **ret, struct error *err)
{
    static const struct route routes[] = {
        { .method = "GET", .path = "/healthz", .pattern = "/healthz", .handler = show_health },
        { .method = "GET", .path = "/metrics", .pattern = "/metrics", .handler = show_metrics },
    };
    struct server_settings settings = {
        .listen = config->worker_listen,
        .routes = routes,
        .routes_len = sizeof routes / sizeof *routes,
        .connections_max = CONNECTIONS_MAX,
        .deadline_s = (uint32_t)config->request_deadline_s,
        .cors_origin = "",
    };

    if (config->worker_listen[0] == '\0')
        return 0;
    return server_start(&settings, ret, err) < 0 ? error_within(err, "worker_listen") : 0;
}
