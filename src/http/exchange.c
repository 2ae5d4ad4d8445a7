/*
 * exchange: what handlers read of a request, and error responses.
 */
#include "http/exchange.h"

#include <assert.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sync.h"
#include "http/server_internal.h"

#define HEADERS_MAX 4
#define FAILURE_LOGS_PER_S 20 /* so that an outage of the store does not flood the log */

struct text exchange_method(const struct exchange *exchange)
{
    return text_of(exchange->method);
}

struct text exchange_path(const struct exchange *exchange)
{
    return text_of(exchange->path);
}

struct text exchange_host(const struct exchange *exchange)
{
    return exchange->host;
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

void *exchange_context(const struct exchange *exchange)
{
    return exchange->server->settings.context;
}

bool exchange_answer_fits(const struct exchange *exchange, uint64_t bytes)
{
    const struct server *server = exchange->server;
    size_t all = server->answers_bytes;

    if (all == 0 || all + bytes <= server->settings.answers_bytes_max)
        return true;
    connections_hurry(server->connections);
    return false;
}

void exchange_memory(const struct exchange *exchange, uint64_t *ret_bodies, uint64_t *ret_answers)
{
    *ret_bodies = exchange->server->bodies_bytes;
    *ret_answers = exchange->server->answers_bytes;
}

bool exchange_query(const struct exchange *exchange, const char *name, struct text *ret_value)
{
    struct text found;

    for (size_t at = 0; query_next(&exchange->query, &at, &found, ret_value);)
        if (text_equal(found, text_of(name)))
            return true;
    return false;
}

void exchange_query_each(const struct exchange *exchange, const char *name, exchange_value *each, void *context)
{
    struct text found, value;

    for (size_t at = 0; query_next(&exchange->query, &at, &found, &value);)
        if (text_equal(found, text_of(name)) && !each(context, value))
            return;
}

/* A page of another origin, a name that somebody made resolve to this machine, or a proxy. */
static bool is_on_behalf_of_others(const struct exchange *exchange)
{
    static const char *const forwarded[] = { "Forwarded", "X-Forwarded-For", "X-Real-IP", "Via" };
    struct text value;

    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
        if (exchange_header(exchange, forwarded[i], &value))
            return true;
    if (exchange_header(exchange, "Origin", &value) && !header_origin_is_host(value, exchange->host))
        return true;
    return exchange->host.len > 0 && !header_host_is_loopback(exchange->host);
}

static bool has_loopback_peer(const struct exchange *exchange)
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

bool exchange_is_local(const struct exchange *exchange)
{
    return has_loopback_peer(exchange) && !is_on_behalf_of_others(exchange);
}

void exchange_respond_json(struct exchange *exchange, unsigned status, struct buf *body)
{
    exchange_respond(exchange, status, "application/json", body, NULL);
}

static void respond_with_error(struct exchange *exchange, unsigned status, const char *code, const char *message,
                               const char *field, const char *const *extra_headers)
{
    struct buf body;
    struct error err;

    buf_init(&body, ERROR_BODY_BYTES_MAX);
    if (error_response_body(code, message, field, &body, &err) < 0)
        log_error("response %u without a body: %s", status, err.text);
    exchange_respond(exchange, status, "application/json", &body, extra_headers);
}

/* Takes one log line from this second's budget; false if it is used up. */
static bool may_log(struct server *server)
{
    uint64_t second = clock_mono_us() / 1000000u;

    lock_guard(&server->lock);
    if (server->log_second != second) {
        if (server->logs_this_second > FAILURE_LOGS_PER_S)
            log_warn("%u more failed requests in that second", server->logs_this_second - FAILURE_LOGS_PER_S);
        server->log_second = second;
        server->logs_this_second = 0;
    }
    return server->logs_this_second++ < FAILURE_LOGS_PER_S;
}

void exchange_respond_error(struct exchange *exchange, const struct error *err)
{
    exchange_respond_error_with(exchange, err, NULL);
}

void exchange_respond_error_with(struct exchange *exchange, const struct error *err, const char *const *extra_headers)
{
    unsigned status = error_response_status(err->kind);
    const char *headers[HEADERS_MAX + 1] = { 0 };
    size_t len = 0;

    if (status == 503)
        headers[len++] = "Retry-After: 1";
    for (; extra_headers != NULL && *extra_headers != NULL; extra_headers++) {
        assert(len < HEADERS_MAX);
        headers[len++] = *extra_headers;
    }

    if (status < 500)
        log_debug("%s %s refused: %s %s", exchange->method, exchange->path, err->field, err->text);
    else if (may_log(exchange->server))
        log_line(status == 500 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "%s %s failed with %u: %s", exchange->method,
                 exchange->path, status, err->text);
    respond_with_error(exchange, status, error_kind_name(err->kind), error_response_message(err), err->field, headers);
}

void exchange_respond_refusal(struct exchange *exchange, const struct refusal *refusal,
                              const char *const *extra_headers)
{
    const char *code = refusal->code != NULL ? refusal->code : error_response_code(refusal->status);

    log_debug("%s %s refused with %u %s: %s", exchange->method, exchange->path, refusal->status, code,
              refusal->message);
    respond_with_error(exchange, refusal->status, code, refusal->message, refusal->field, extra_headers);
}

void exchange_respond_result(struct exchange *exchange, struct buf *body, const struct error *err)
{
    if (err == NULL) {
        exchange_respond_json(exchange, 200, body);
    } else {
        buf_done(body);
        exchange_respond_error(exchange, err);
    }
}
