/*
 * exchange: the decisions about one request that need no handler: its route, its refusals, its body's limits, and what
 * an error answer says.  Runs on the HTTP thread, but for exchange_answer_error and _refusal, which any thread calls.
 */
#include "http/exchange.h"

#include <assert.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "api/answer.h"
#include "base/clock.h"
#include "base/log.h"
#include "metrics/metrics.h"

#define FAILURE_LOGS_PER_S 20 /* an outage of the store must not become an outage of the log */

/* ---- what a handler reads ------------------------------------------------------------------------------------- */

struct text exchange_method(const struct exchange *exchange)
{
    return text_of(exchange->method);
}

struct text exchange_path(const struct exchange *exchange)
{
    return text_of(exchange->path);
}

struct text exchange_segment(const struct exchange *exchange)
{
    return exchange->segment;
}

struct text exchange_body(const struct exchange *exchange)
{
    return buf_text(&exchange->body);
}

void exchange_set_client(struct exchange *exchange, const void *client)
{
    exchange->client = client;
}

const void *exchange_client(const struct exchange *exchange)
{
    return exchange->client;
}

bool exchange_is_local(const struct exchange *exchange)
{
    struct sockaddr_storage peer = { 0 };
    socklen_t len = sizeof peer;

    if (getpeername(connection_fd(exchange->connection), (struct sockaddr *)&peer, &len) < 0)
        return false;
    if (peer.ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)&peer)->sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)&peer)->sin6_addr;
    return peer.ss_family == AF_INET6 &&
           (IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127));
}

void exchange_forget_body(struct exchange *exchange)
{
    buf_done(&exchange->body);
    exchange->server->bodies_bytes -= exchange->body_counted;
    exchange->body_counted = 0;
}

/* ---- error answers -------------------------------------------------------------------------------------------- */

static void answer_with_error(struct exchange *exchange, unsigned status, const char *code, const char *message,
                              const char *field, const char *const *extra_headers)
{
    struct buf body;
    struct error err;

    buf_init(&body, ANSWER_BYTES_MAX);
    if (answer_error(code, message, field, &body, &err) < 0)
        log_error("answer %u without a body: %s", status, err.text);
    exchange_answer(exchange, status, "application/json", &body, extra_headers);
}

static bool may_log(struct server *server)
{
    uint64_t second = clock_mono_us() / 1000000u;

    (void)pthread_mutex_lock(&server->lock);
    if (server->log_second != second) {
        if (server->logs_this_second > FAILURE_LOGS_PER_S)
            log_warn("%u more failed requests in that second", server->logs_this_second - FAILURE_LOGS_PER_S);
        server->log_second = second;
        server->logs_this_second = 0;
    }
    bool may = server->logs_this_second++ < FAILURE_LOGS_PER_S;
    (void)pthread_mutex_unlock(&server->lock);
    return may;
}

void exchange_answer_error(struct exchange *exchange, const struct error *err)
{
    static const char *const retry[] = { "Retry-After: 1", NULL };
    unsigned status = answer_status(err->kind);

    if (status < 500)
        log_debug("%s %s refused: %s %s", exchange->method, exchange->path, err->field, err->text);
    else if (may_log(exchange->server))
        log_line(status == 500 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "%s %s failed with %u: %s", exchange->method,
                 exchange->path, status, err->text);
    answer_with_error(exchange, status, error_kind_name(err->kind), answer_message(err), err->field,
                      status == 503 ? retry : NULL);
}

void exchange_answer_refusal(struct exchange *exchange, const struct refusal *refusal, const char *const *extra_headers)
{
    log_debug("%s %s refused with %u: %s", exchange->method, exchange->path, refusal->status, refusal->message);
    answer_with_error(exchange, refusal->status, answer_code(refusal->status), refusal->message, refusal->field,
                      extra_headers);
}

void exchange_answer_problem(struct exchange *exchange, const struct refusal *refusal, const char *code,
                             const char *const *extra_headers)
{
    log_debug("%s %s refused with %u %s", exchange->method, exchange->path, refusal->status, code);
    answer_with_error(exchange, refusal->status, code, refusal->message, refusal->field, extra_headers);
}

static void answer_preflight(struct exchange *exchange)
{
    char allow[sizeof "Allow: " + ROUTE_ALLOW_BYTES];
    char methods[sizeof "Access-Control-Allow-Methods: " + ROUTE_ALLOW_BYTES];
    const char *headers[] = { allow, methods,
                              "Access-Control-Allow-Headers: Content-Type, Authorization, Idempotency-Key, X-API-Key",
                              "Access-Control-Max-Age: 86400", NULL };

    (void)snprintf(allow, sizeof allow, "Allow: %s", exchange->allow);
    (void)snprintf(methods, sizeof methods, "Access-Control-Allow-Methods: %s", exchange->allow);
    if (exchange->server->settings.cors_origin[0] == '\0')
        headers[1] = NULL;
    exchange_answer(exchange, 204, NULL, NULL, headers);
}

static void answer_own_refusal(struct exchange *exchange)
{
    char allow[sizeof "Allow: " + ROUTE_ALLOW_BYTES];
    const char *headers[] = { allow, NULL };

    (void)snprintf(allow, sizeof allow, "Allow: %s", exchange->allow);
    exchange_answer_refusal(exchange, &exchange->refusal, exchange->refusal.status == 405 ? headers : NULL);
}

void exchange_answer_itself(struct exchange *exchange)
{
    assert(exchange->is_preflight || exchange->refusal.status != 0);
    if (exchange->refusal.status != 0)
        answer_own_refusal(exchange);
    else
        answer_preflight(exchange);
}

/* ---- kept exchanges -------------------------------------------------------------------------------------------- */

void exchange_list(struct exchange *exchange)
{
    struct server *server = exchange->server;

    exchange->is_listed = true;
    (void)pthread_mutex_lock(&server->lock);
    exchange->suspended_previous = NULL;
    exchange->suspended_next = server->kept;
    if (server->kept != NULL)
        server->kept->suspended_previous = exchange;
    server->kept = exchange;
    (void)pthread_mutex_unlock(&server->lock);
}

void exchange_unlist(struct exchange *exchange)
{
    struct server *server = exchange->server;

    if (!exchange->is_listed)
        return;
    exchange->is_listed = false;
    (void)pthread_mutex_lock(&server->lock);
    if (exchange->suspended_previous != NULL)
        exchange->suspended_previous->suspended_next = exchange->suspended_next;
    else
        server->kept = exchange->suspended_next;
    if (exchange->suspended_next != NULL)
        exchange->suspended_next->suspended_previous = exchange->suspended_previous;
    (void)pthread_mutex_unlock(&server->lock);
}

/* ---- the head and the body ------------------------------------------------------------------------------------ */

static void refuse(struct exchange *exchange, unsigned status, const char *field, const char *message)
{
    if (exchange->refusal.status == 0)
        exchange->refusal = (struct refusal){ status, field, message };
}

/* Says how much it may be. */
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
        refuse(exchange, 405, "", "this path does not answer to this method; see the Allow header");
        break;
    case ROUTE_UNKNOWN:
        refuse(exchange, 404, "", "no such path; see docs/guide/API.md");
        break;
    }
}

void exchange_choose(struct exchange *exchange, const struct header_check *check, struct text method)
{
    exchange->has_body = header_check_has_body(check);
    exchange->refusal = check->refusal;
    /* After a broken head it is not sure where the next request begins. */
    exchange->closes = check->refusal.status != 0;
    choose_route(exchange, method);

    uint64_t body_bytes_max = exchange->route != NULL ? exchange->route->body_bytes_max : 0;
    buf_init(&exchange->body, body_bytes_max + 1);
    if (check->content_length > body_bytes_max || (check->chunked && body_bytes_max == 0))
        refuse(exchange, 413, "", too_large(exchange, body_bytes_max));
    if (exchange->refusal.status != 0)
        exchange->route = NULL;
}

/* Refuses while a body is arriving (see the head of this file). */
static bool refuse_on_socket(struct exchange *exchange, unsigned status, const char *message)
{
    auto_buf struct buf answer = { 0 };
    struct error err;

    buf_init(&answer, ANSWER_BYTES_MAX);
    if (answer_raw(status, message, exchange->server->settings.cors_origin, &answer, &err) == 0)
        (void)send(connection_fd(exchange->connection), answer.at, answer.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    connection_linger(exchange->connection);
    metrics_http(exchange->method, exchange->pattern, status, clock_mono_us() - exchange->born_us);
    return false;
}

bool exchange_collect(struct exchange *exchange, const char *bytes, size_t len)
{
    struct server *server = exchange->server;
    struct error err;
    size_t cap_before = exchange->body.cap;

    if (exchange->route == NULL) /* refused already; a body of that request cannot be told from its next request */
        return false;
    if (exchange->body.len + len > exchange->route->body_bytes_max)
        return refuse_on_socket(exchange, 413, too_large(exchange, exchange->route->body_bytes_max));
    if (server->bodies_bytes + len > server->settings.bodies_bytes_max)
        return refuse_on_socket(exchange, 503, "too many large requests are arriving; try again in a moment");
    if (buf_append(&exchange->body, bytes, len, &err) < 0)
        return refuse_on_socket(exchange, 503, "no memory for this body now; try again in a moment");
    exchange->body_counted += exchange->body.cap - cap_before;
    server->bodies_bytes += exchange->body.cap - cap_before;
    return true;
}
