/*
 * server: HTTP.  libmicrohttpd lives in server.c and nowhere else.
 *
 * One epoll thread parses requests and calls handlers; a handler never blocks.  It answers at once, or keeps the
 * exchange and answers later from any thread.  Every check that needs no handler is made here: header rules
 * (header_check.h), body limits (413 before the body), absolute deadlines, connection limits, CORS, drain.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "config/config.h"
#include "http/header_check.h"

struct server;
struct exchange; /* one request and its answer; ends when it is answered */

/* What a handler reads.  Borrowed: valid until the exchange is answered, on any thread. */
struct text exchange_method(const struct exchange *exchange);
struct text exchange_path(const struct exchange *exchange);
struct text exchange_segment(const struct exchange *exchange); /* what a '*' in the route's path stood for */
struct text exchange_body(const struct exchange *exchange);
/* The body is no longer needed: its memory is given back before the answer (which may come a minute later). */
void exchange_forget_body(struct exchange *exchange);

/*
 * These three only inside the handler's own call, where the values stay valid until it returns.
 * A query parameter or header; false if it is not there.  Percent-encoding is resolved (but %00 stays as it is).
 */
bool exchange_query(const struct exchange *exchange, const char *name, struct text *ret_value);
bool exchange_header(const struct exchange *exchange, const char *name, struct text *ret_value);
/* Every value of a parameter that may be repeated; stops when `each` returns false. */
typedef bool exchange_value(void *context, struct text value);
void exchange_query_each(const struct exchange *exchange, const char *name, exchange_value *each, void *context);

/*
 * Answers, from any thread, exactly once; the exchange must not be touched afterwards.
 * The body is moved out of *body (NULL: none).  extra_headers: "Name: value" strings, NULL-terminated, or NULL.
 */
void exchange_answer(struct exchange *exchange, unsigned status, const char *content_type, struct buf *body,
                     const char *const *extra_headers);
void exchange_answer_json(struct exchange *exchange, unsigned status, struct buf *body);
/* {"error":{"code","message","field"}} with the status that belongs to err->kind (Retry-After with 503).
 * A failure of ours (5xx) is logged here, once, with its cause; the client is not told the cause. */
void exchange_answer_error(struct exchange *exchange, const struct error *err);
/* The same for a refusal that has a status of its own. */
void exchange_answer_refusal(struct exchange *exchange, const struct refusal *refusal,
                             const char *const *extra_headers);
/* The same with a code of its own, where the status alone does not say enough. */
void exchange_answer_problem(struct exchange *exchange, const struct refusal *refusal, const char *code,
                             const char *const *extra_headers);

/* Whose request it is: what server_settings.admit found out; NULL where it said nothing.  Valid like the settings. */
void exchange_set_client(struct exchange *exchange, const void *client);
const void *exchange_client(const struct exchange *exchange);
/* Does it come from this machine (a loopback address)?  Only inside the handler's own call. */
bool exchange_is_local(const struct exchange *exchange);

/*
 * A socket that has left HTTP.  It still counts as a connection of the server, so the limits hold for it; its owner
 * may read and write `fd` and must give it back with upgraded_close, before server_stop returns.
 */
struct upgraded;
int upgraded_fd(const struct upgraded *upgraded);
void upgraded_close(struct upgraded *upgraded);

/* Called on the HTTP thread, after the 101 was sent; `already_read`, valid for the call, came after the headers. */
typedef void exchange_taken(void *context, struct upgraded *upgraded, struct text already_read);
/* `accept`: the value of Sec-WebSocket-Accept.  Only inside the handler's own call.  If the client goes away before
 * the 101 is sent, `taken` is called with NULL, so that `context` can be freed. */
void exchange_upgrade_websocket(struct exchange *exchange, const char *accept, exchange_taken *taken, void *context);

typedef void route_handler(struct exchange *exchange, void *context);

struct route {
    const char *method;
    const char *path;        /* a segment "*" stands for one segment */
    const char *pattern;     /* as shown in metrics: "/submissions/{token}" */
    uint64_t body_bytes_max; /* refused with 413 before a byte of it is read; 0: no body is accepted */
    route_handler *handler;
};

struct server_settings {
    const char *listen; /* ADDR:PORT */
    const struct route *routes;
    size_t routes_len;
    void *context; /* given to every handler */
    bool (*auth_check)(struct exchange *exchange,
                       void *context);            /* before each handler; false: it has answered.  Or NULL */
    uint32_t connections_max, connections_ip_max; /* the latter 0: no limit */
    uint32_t deadline_s;       /* a request has arrived whole within so long after its connection, or the last answer */
    uint32_t idle_s;           /* a connection without a request is closed after so long; 0: 60 */
    uint64_t bodies_bytes_max; /* memory of all bodies that arrive; beyond it 503.  0: 256 MiB */
    const char *cors_origin;   /* "" for none */
};

/* Listens when it returns 0.  Port 0 chooses one: server_port tells.  All that settings point to is borrowed. */
int server_start(const struct server_settings *settings, struct server **ret, struct error *err);
uint16_t server_port(const struct server *server);
/* Asks it for /healthz by a connection to its own port, and waits at most so long; false where nothing came back. */
bool server_answers(struct server *server, uint32_t wait_ms);
/* Stops listening at once; from here on every answer closes its connection.  To be called before the exchanges that
 * are kept are answered because of the stop. */
void server_drain(struct server *server);
/*
 * Drains, if that has not begun; waits up to drain_ms for exchanges under way; answers 503 for those that are still
 * kept then (answering them later is allowed and does nothing); ends.  NULL is fine.
 */
void server_stop(struct server *server, uint64_t drain_ms);
