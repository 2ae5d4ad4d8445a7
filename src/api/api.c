/*
 * api: puts the parts together, and takes them apart in an order in which nobody calls what is gone:
 *
 *   start: desk, watch, waits, keeper, intake, hub, server     (the server last: from then on requests come)
 *   stop:  server drains, waits drain, hub drain, server, intake, keeper, desk (now no call-back can come), waits, hub,
 *          watch
 */
#include "api/api.h"

#include <errno.h>

#include "api/api_keys.h"
#include "api/routes.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "config/config.h"

#define REQUESTS_MAX 20000 /* at the desk; more than connections can leave there */

static struct route *routes_new(uint64_t body_bytes_max, size_t *ret_len)
{
    const struct route routes[] = {
        { "POST", "/execute/batch", "/execute/batch", body_bytes_max, submit_batch },
        { "POST", "/execute", "/execute", body_bytes_max, submit_single },
        { "POST", "/execute-parallel", "/execute-parallel", body_bytes_max, submit_parallel },
        { "GET", "/submissions/*", "/submissions/{token}", 0, status_show },
        { "DELETE", "/submissions/*", "/submissions/{token}", 0, status_cancel },
        { "GET", "/dead", "/dead", 0, dead_list },
        { "GET", "/dead/*", "/dead/{token}", 0, dead_show },
        { "POST", "/dead/*/retry", "/dead/{token}/retry", 0, dead_retry },
        { "GET", "/queue", "/queue", 0, queue_info_show },
        { "GET", "/workers", "/workers", 0, queue_info_workers },
        { "GET", "/ws", "/ws", 0, websocket_open },
        { "GET", "/languages", "/languages", 0, about_languages },
        { "GET", "/healthz", "/healthz", 0, health_alive },
        { "GET", "/readyz", "/readyz", 0, health_ready },
        { "GET", "/metrics", "/metrics", 0, health_metrics },
        { "GET", "/", "/", 0, about_index },
    };
    struct route *copy = malloc(sizeof routes);

    if (copy != NULL)
        memcpy(copy, routes, sizeof routes);
    *ret_len = sizeof routes / sizeof *routes;
    return copy;
}

static uint32_t at_most_u32(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static void api_free(struct api *api)
{
    decode_thread_close(api->decode_thread);
    depth_cache_close(api->depth_cache);
    if (api->async_store != NULL)
        async_store_close(api->async_store);
    long_polls_close(api->long_polls);
    ws_server_close(api->ws_server);
    subscriptions_close(api->subscriptions);
    clients_free(api->clients);
    free(api->routes);
    free(api);
}

static int start_parts(struct api *api, struct error *err)
{
    size_t routes_len;
    const struct config *config = api->config;

    api->routes = routes_new(config->body_bytes_max, &routes_len);
    if (api->routes == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "start the API");
    if (clients_load(config, &api->clients, err) < 0)
        return -1;
    if (async_store_open(api->store, REQUESTS_MAX, &api->async_store, err) < 0 ||
        subscriptions_open(&api->subscriptions, err) < 0 ||
        long_polls_open(api->async_store, api->subscriptions, &api->long_polls, err) < 0 ||
        depth_cache_open(api, &api->depth_cache, err) < 0 || decode_thread_open(&api->decode_thread, err) < 0 ||
        ws_server_open(api, &api->ws_server, err) < 0)
        return -1;
    struct server_settings settings = {
        .listen = config->listen,
        .routes = api->routes,
        .routes_len = routes_len,
        .context = api,
        .auth_check = auth_check,
        .connections_max = at_most_u32(config->connections_max),
        .connections_ip_max = at_most_u32(config->connections_ip_max),
        .deadline_s = at_most_u32(config->request_deadline_s),
        .cors_origin = config->cors_origin,
    };
    return server_start(&settings, &api->server, err);
}

int api_start(const struct config *config, const struct languages *languages, struct store *store, struct api **ret,
              struct error *err)
{
    struct api *api = calloc(1, sizeof *api);

    if (api == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "start the API");
    *api = (struct api){ .config = config, .languages = languages, .store = store };
    if (start_parts(api, err) < 0) {
        if (api->ws_server != NULL)
            ws_server_drain(api->ws_server);
        api_free(api);
        return -1;
    }
    *ret = api;
    return 0;
}

uint16_t api_port(const struct api *api)
{
    return server_port(api->server);
}

bool api_answers(struct api *api, uint32_t wait_ms)
{
    return server_answers(api->server, wait_ms);
}

void api_changed(struct api *api, const char token[TOKEN_BYTES], enum submission_state state)
{
    subscriptions_notifytell(api->subscriptions, token, state);
}

void api_ended(struct api *api, const char token[TOKEN_BYTES], const struct store_view *end)
{
    subscriptions_notifytell_end(api->subscriptions, token, end);
}

void api_stop(struct api *api, uint64_t deadline_us)
{
    uint64_t now_us = clock_mono_us();

    if (api == NULL)
        return;
    server_drain(api->server);
    long_polls_drain(api->long_polls);
    ws_server_drain(api->ws_server);
    server_stop(api->server, deadline_us > now_us ? (deadline_us - now_us) / 1000 : 0);
    api_free(api);
}
