/*
 * server: HTTP.  libmicrohttpd lives in server.c and nowhere else.
 *
 * One epoll thread parses requests and calls handlers; a handler never blocks.  It answers at once, or keeps the
 * exchange and answers later from any thread.  Every check that needs no handler is made here: header rules
 * (libraries.md section 1), body limits (413 before the body), absolute deadlines, connection limits, drain.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "config/config.h"

struct server;
struct exchange; /* one request and its answer; ends when it is answered */

/* What a handler reads.  Borrowed: valid until the exchange is answered. */
struct text exchange_method(const struct exchange *exchange);
struct text exchange_path(const struct exchange *exchange);
struct text exchange_segment(const struct exchange *exchange); /* what a '*' in the route's path stood for */
struct text exchange_body(const struct exchange *exchange);
/* A query parameter; false if it is not there. */
bool exchange_query(const struct exchange *exchange, const char *name, struct text *ret_value);
bool exchange_header(const struct exchange *exchange, const char *name, struct text *ret_value);

/*
 * Answers, from any thread, exactly once; the exchange must not be touched afterwards.
 * The body is moved out of *body.  extra_headers: "Name: value" strings, NULL-terminated, or NULL.
 */
void exchange_answer(struct exchange *exchange, unsigned status, const char *content_type, struct buf *body,
                     const char *const *extra_headers);
void exchange_answer_json(struct exchange *exchange, unsigned status, struct buf *body);
/* {"error":{"code","message","field"}} with the status that belongs to err->kind (Retry-After with 503). */
void exchange_answer_error(struct exchange *exchange, const struct error *err);
/* A WebSocket upgrade: `taken` gets the socket (it owns it from then on) and bytes already read after the headers. */
typedef void exchange_taken(void *context, int fd, struct text already_read);
void exchange_upgrade_websocket(struct exchange *exchange, exchange_taken *taken, void *context);

typedef void route_handler(struct exchange *exchange, void *context);

struct route {
    const char *method;
    const char *path;     /* a segment "*" stands for one segment */
    const char *pattern;  /* as shown in metrics: "/submissions/{token}" */
    uint64_t body_bytes_max; /* refused with 413 before a byte of it is read; 0: no body is accepted */
    route_handler *handler;
};

struct server_settings {
    const char *listen; /* ADDR:PORT */
    const struct route *routes;
    size_t routes_len;
    void *context;      /* given to every handler */
    uint32_t connections_max, connections_ip_max, deadline_s;
    const char *cors_origin;
};

/* Listens when it returns 0.  Port 0 chooses one: server_port tells. */
int server_start(const struct server_settings *settings, struct server **ret, struct error *err);
uint16_t server_port(const struct server *server);
/* Stops listening at once; waits up to drain_ms for exchanges under way; ends. */
void server_stop(struct server *server, uint64_t drain_ms);
