/* evalx worker: takes submissions from a Redis that API servers share, and runs them. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/settings.h"
#include "daemon/service.h"
#include "http/server.h"
#include "metrics/metrics.h"

#define METRICS_BYTES_MAX (4u << 20)

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

/* Figures of the queue are the API servers' to show: they are the same wherever they are read. */
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

static int start_page(struct service *service, struct error *err)
{
    static const struct route routes[] = {
        { .method = "GET", .path = "/healthz", .pattern = "/healthz", .handler = show_health },
        { .method = "GET", .path = "/metrics", .pattern = "/metrics", .handler = show_metrics },
    };
    struct server_settings settings = {
        .listen = service->config.worker_listen,
        .routes = routes,
        .routes_len = sizeof routes / sizeof *routes,
        .connections_max = 100,
        .deadline_s = (uint32_t)service->config.request_deadline_s,
        .cors_origin = "",
    };

    if (service->config.worker_listen[0] == '\0')
        return 0;
    if (server_start(&settings, &service->page, err) < 0)
        return error_within(err, "worker_listen");
    return 0;
}

static int start(struct service *service, const struct invocation *invocation, struct error *err)
{
    if (service_begin(service, invocation, err) < 0)
        return -1;
    if (!settings_use_redis(&service->config))
        return error_set(err, ERROR_SETUP, 0,
                         "a worker needs a queue it shares with API servers: set REDIS_HOST (a machine on its own "
                         "needs no worker, `evalx server` runs everything)");
    if (service_start_sandbox(service, err) < 0 || service_become_user(service, true, err) < 0 ||
        service_open_store(service, false, err) < 0 || service_start_worker(service, err) < 0)
        return -1;
    return start_page(service, err);
}

static int run(const struct invocation *invocation)
{
    struct service service;
    struct error err = { 0 };
    int status;

    if (start(&service, invocation, &err) < 0) {
        status = command_failed(&err);
        service.config.drain_s = 0;
    } else {
        service_say_ready(&service, "working", service.config.worker_listen);
        status = service_wait(&service);
    }
    service_stop(&service);
    if (status == EVALX_EXIT_OK)
        log_info("ended");
    return status;
}

const struct subcommand worker_command = {
    .name = "worker",
    .operands = "",
    .summary = "takes submissions from a shared Redis and runs them",
    .details =
        "\nAny number of workers, on any number of machines, share the work of the Redis that REDIS_HOST names.\n"
        "Must be started as root, which it gives up once its sandbox stands.  With worker_listen=ADDR:PORT it\n"
        "shows /metrics and /healthz there.  SIGTERM and SIGINT drain; a second one ends it at once.",
    .run = run,
};
