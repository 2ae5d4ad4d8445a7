/*
 * admission: decides about a request before any handler: route, refusals, CORS preflights and the limits of its body.
 * Runs on the HTTP thread and knows nothing of libmicrohttpd.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/server_internal.h"

static void refuse(struct exchange *exchange, unsigned status, const char *field, const char *message)
{
    if (exchange->refusal.status == 0)
        exchange->refusal = (struct refusal){ status, field, message, NULL };
}

static const char *too_large(struct exchange *exchange, uint64_t body_bytes_max)
{
    if (body_bytes_max == 0)
        return "this request takes no body";
    (void)snprintf(exchange->too_large, sizeof exchange->too_large, "the body is larger than %" PRIu64 " bytes",
                   body_bytes_max);
    return exchange->too_large;
}

static void choose_route(struct exchange *exchange, struct text method)
{
    const struct server_settings *settings = &exchange->server->settings;
    struct route_match match = route_find(settings->routes, settings->routes_len, method, text_of(exchange->path));

    memcpy(exchange->allow, match.allow, sizeof match.allow);
    exchange->segment = match.segment;
    exchange->pattern = match.route != NULL ? match.route->pattern : "other";
    switch (match.outcome) {
    case ROUTE_FOUND:
        exchange->route = match.route;
        break;
    case ROUTE_PREFLIGHT:
        exchange->is_preflight = true;
        break;
    case ROUTE_OTHER_METHOD:
        refuse(exchange, 405, "", "this path does not support this method; see the Allow header");
        break;
    case ROUTE_UNKNOWN:
        if (text_equal(method, TEXT("OPTIONS")) && strcmp(exchange->path, "*") == 0) { /* about the server itself */
            exchange->is_preflight = true;
            (void)snprintf(exchange->allow, sizeof exchange->allow, "GET, HEAD, POST, DELETE, OPTIONS");
            break;
        }
        refuse(exchange, 404, "", "no such path; see docs/guide/API.md");
        break;
    }
}

/* Rules against pages in the browser of somebody who can reach this server. */
static void check_page(struct exchange *exchange, const struct header_check *check)
{
    const struct server_settings *settings = &exchange->server->settings;

    /* A page whose own name was made to resolve to a loopback address (DNS rebinding) sends that name. */
    if (settings->host_names != NULL && exchange->host.len > 0 && !header_host_is_loopback(exchange->host) &&
        !header_host_is_among(exchange->host, text_of(settings->host_names)))
        refuse(exchange, 421, "Host",
               "this server listens on loopback only and does not answer to this name; see EVALX_HOST_NAMES");
    /* A browser asks before it sends JSON to another origin, but not before it sends a form or text. */
    bool may_be_form = exchange->route != NULL && strcmp(exchange->route->method, "POST") == 0;
    if (may_be_form && check->origin.len > 0 && !header_is_media_type(check->content_type, TEXT("application/json")))
        refuse(exchange, 415, "Content-Type", "a POST with an Origin header needs Content-Type: application/json");
}

void admission_check_head(struct exchange *exchange, const struct header_check *check, struct text method)
{
    if (exchange->host.len == 0)
        exchange->host = check->host;
    exchange->has_body = header_check_has_body(check);
    exchange->refusal = check->refusal;
    /* After an invalid head the start of the next request is unknown. */
    exchange->closes = check->refusal.status != 0;
    choose_route(exchange, method);
    check_page(exchange, check);

    bool takes_body = exchange->route != NULL && exchange->route->takes_body;
    uint64_t body_bytes_max = takes_body ? exchange->server->settings.body_bytes_max : 0;
    buf_init(&exchange->body, body_bytes_max + 1);
    if (check->content_length > body_bytes_max || (check->chunked && !takes_body))
        refuse(exchange, 413, "", too_large(exchange, body_bytes_max));
    if (exchange->refusal.status != 0)
        exchange->route = NULL;
}

/* Responds on the socket while a body is arriving (the reason is in server.c). */
static bool refuse_on_socket(struct exchange *exchange, unsigned status, const char *message)
{
    const struct server_settings *settings = &exchange->server->settings;
    auto_buf struct buf response = { 0 };
    struct error err;

    buf_init(&response, ERROR_BODY_BYTES_MAX);
    if (error_response_raw(status, message, settings->cors_origin, &response, &err) == 0)
        (void)send(connection_fd(exchange->connection), response.at, response.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    connection_linger(exchange->connection);
    if (settings->on_response != NULL)
        settings->on_response(exchange->method, exchange->pattern, status, clock_mono_us() - exchange->born_us);
    return false;
}

/* True if so much memory fits in beside what other requests hold.  One that is alone always fits. */
static bool fits(const struct exchange *exchange, size_t bytes)
{
    const struct server *server = exchange->server;
    size_t all = server->bodies_bytes;

    return all <= exchange->body_counted || all + bytes <= server->settings.bodies_bytes_max;
}

bool admission_add_body(struct exchange *exchange, const char *bytes, size_t len)
{
    struct server *server = exchange->server;
    struct error err;
    size_t cap_before = exchange->body.cap;

    /* Refused.  The connection must close, because the body cannot be told from a next request. */
    if (exchange->route == NULL)
        return false;
    if (exchange->body.len + len > server->settings.body_bytes_max)
        return refuse_on_socket(exchange, 413, too_large(exchange, server->settings.body_bytes_max));
    if (!fits(exchange, len))
        return refuse_on_socket(exchange, 503, "too many large requests are arriving; try again in a moment");
    if (buf_append(&exchange->body, bytes, len, &err) < 0)
        return refuse_on_socket(exchange, 503, "out of memory for this body; try again in a moment");
    exchange->body_counted += exchange->body.cap - cap_before;
    server->bodies_bytes += exchange->body.cap - cap_before;
    return true;
}

bool exchange_hold_bytes(struct exchange *exchange, size_t bytes)
{
    if (!fits(exchange, bytes))
        return false;
    exchange->body_counted += bytes;
    exchange->server->bodies_bytes += bytes;
    return true;
}

void exchange_release_body(struct exchange *exchange)
{
    buf_done(&exchange->body);
    exchange->server->bodies_bytes -= exchange->body_counted;
    exchange->body_counted = 0;
}

void admission_respond(const struct exchange *exchange, struct admission_response *ret)
{
    const struct refusal *refusal = &exchange->refusal;
    struct error err;

    assert(exchange->is_preflight || refusal->status != 0);
    *ret = (struct admission_response){ .status = refusal->status != 0 ? refusal->status : 204 };
    buf_init(&ret->body, ERROR_BODY_BYTES_MAX);
    (void)snprintf(ret->allow, sizeof ret->allow, "Allow: %s", exchange->allow);
    if (refusal->status != 0) {
        log_debug("%s %s refused with %u: %s", exchange->method, exchange->path, refusal->status, refusal->message);
        if (error_response_body(error_response_code(refusal->status), refusal->message, refusal->field, &ret->body,
                                &err) < 0)
            log_error("response %u without a body: %s", refusal->status, err.text);
        if (refusal->status == 405)
            ret->headers[0] = ret->allow;
        return;
    }
    size_t len = 0;
    ret->headers[len++] = ret->allow;
    if (exchange->server->settings.cors_origin[0] == '\0')
        return;
    (void)snprintf(ret->methods, sizeof ret->methods, "Access-Control-Allow-Methods: %s", exchange->allow);
    ret->headers[len++] = ret->methods;
    ret->headers[len++] = "Access-Control-Allow-Headers: Content-Type, Authorization, Idempotency-Key, X-API-Key";
    ret->headers[len++] = "Access-Control-Max-Age: 86400";
}
