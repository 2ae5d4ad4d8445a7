/*
 * api: starts and stops the parts.  No part is freed while another may still call it.
 *
 *   start: async_store, subscriptions, large_results, long_polls, depth_cache, decode_threads, ws_server, and last the
 *          server, because requests arrive from then on
 *   stop:  drain the server, the long polls and the WebSockets; stop the server; then decode_threads, depth_cache,
 *          async_store (after it no callback can run), large_results, long_polls, ws_server, subscriptions
 */
#include "api/api.h"

#include <errno.h>

#include "api/routes.h"
#include "base/cleanup.h"
#include "config/config.h"
#include "http/header_check.h"
#include "metrics/metrics.h"

#define REQUESTS_MAX 20000 /* pending in async_store; more than all connections can cause */

static const struct route routes[] = {
    { "POST", "/execute/batch", "/execute/batch", true, submit_batch },
    { "POST", "/execute", "/execute", true, submit_single },
    { "POST", "/execute-parallel", "/execute-parallel", true, submit_parallel },
    { "GET", "/submissions/*", "/submissions/{token}", false, status_show },
    { "DELETE", "/submissions/*", "/submissions/{token}", false, status_cancel },
    { "GET", "/dead", "/dead", false, dead_letters_list },
    { "GET", "/dead/*", "/dead/{token}", false, dead_letters_show },
    { "POST", "/dead/*/retry", "/dead/{token}/retry", false, dead_letters_retry },
    { "GET", "/queue", "/queue", false, queue_info_show },
    { "GET", "/workers", "/workers", false, queue_info_workers },
    { "GET", "/ws", "/ws", false, ws_connect },
    { "GET", "/languages", "/languages", false, about_languages },
    { "GET", "/healthz", "/healthz", false, health_alive },
    { "GET", "/readyz", "/readyz", false, health_ready },
    { "GET", "/metrics", "/metrics", false, health_metrics },
    { "GET", "/", "/", false, about_index },
};

static uint32_t at_most_u32(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static void api_free(struct api *api)
{
    decode_threads_close(api->decode_threads);
    depth_cache_close(api->depth_cache);
    if (api->async_store != NULL)
        async_store_close(api->async_store);
    large_results_close(api->large_results);
    long_polls_close(api->long_polls);
    ws_server_close(api->ws_server);
    subscriptions_close(api->subscriptions);
    free(api);
}

static int start_parts(struct api *api, struct error *err)
{
    const struct config *config = api->config;

    if (async_store_open(api->store, REQUESTS_MAX, &api->async_store, err) < 0 ||
        subscriptions_open(&api->subscriptions, err) < 0 ||
        large_results_open(api->store, &api->large_results, err) < 0 ||
        long_polls_open(api->async_store, api->subscriptions, api->large_results, &api->long_polls, err) < 0 ||
        depth_cache_open(api->store, &api->depth_cache, err) < 0 ||
        decode_threads_open(&api->decode_threads, err) < 0 || ws_server_open(api, &api->ws_server, err) < 0)
        return -1;
    char host[64];
    struct server_settings settings = {
        .host = host,
        .routes = routes,
        .routes_len = sizeof routes / sizeof *routes,
        .context = api,
        .auth_check = auth_check,
        .on_response = metrics_http,
        .connections_max = at_most_u32(config->connections_max),
        .descriptors_reserved = api->worker_check.descriptors,
        .connections_ip_max = at_most_u32(config->connections_ip_max),
        .deadline_s = at_most_u32(config->request_deadline_s),
        .body_bytes_max = config->body_bytes_max,
        .bodies_bytes_max = config->bodies_bytes_max,
        .answers_bytes_max = config->answers_bytes_max,
        .cors_origin = config->cors_origin,
    };
    if (config_split_listen(config->listen, host, &settings.port, err) < 0)
        return -1;
    if (api->api_keys == NULL && header_host_is_loopback(text_of(host)))
        settings.host_names = config->host_names;
    return server_start(&settings, &api->server, err);
}

int api_start(const struct config *config, const struct languages *languages, struct store *store,
              const struct api_keys *api_keys, const struct worker_check *worker_check, struct api **ret,
              struct error *err)
{
    struct api *api = calloc(1, sizeof *api);

    if (api == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "start the API");
    *api = (struct api){
        .config = config, .languages = languages, .store = store, .api_keys = api_keys, .worker_check = *worker_check
    };
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

bool api_is_responsive(struct api *api, uint32_t wait_ms)
{
    return server_is_responsive(api->server, wait_ms);
}

void api_changed(struct api *api, const char token[TOKEN_BYTES], enum submission_state state)
{
    subscriptions_notify(api->subscriptions, token, state);
}

void api_ended(struct api *api, const char token[TOKEN_BYTES], const struct store_view *end)
{
    subscriptions_notify_end(api->subscriptions, token, end);
}

void api_stop(struct api *api, uint64_t deadline_us)
{
    if (api == NULL)
        return;
    server_drain(api->server);
    long_polls_drain(api->long_polls);
    ws_server_drain(api->ws_server);
    server_stop(api->server, deadline_us);
    api_free(api);
}
