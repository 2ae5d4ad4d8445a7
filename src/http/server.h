/*
 * server: a generic HTTP/1.1 server over libmicrohttpd.
 *
 * One epoll thread parses requests and calls the handlers (exchange.h, route.h).  The server itself enforces header
 * rules, body limits, absolute deadlines, connection limits and CORS, so no handler sees a request that breaks them.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "http/exchange.h"
#include "http/route.h"

struct server;

struct server_settings {
    const char *host; /* a name or an address; "": all addresses.  Not used after server_start */
    uint16_t port;    /* 0: the kernel chooses one, see server_port */
    const struct route *routes;
    size_t routes_len;
    void *context; /* passed to every handler and to auth_check */
    /* Called before each handler; if it returns false, it has responded.  NULL: no check. */
    bool (*auth_check)(struct exchange *exchange, void *context);
    /* Called for each response, on the HTTP thread.  All strings are literals or the route's.  NULL: not called. */
    void (*on_response)(const char *method, const char *pattern, unsigned status, uint64_t duration_us);
    uint32_t connections_max;      /* fewer if the limit of open files leaves no more */
    uint32_t descriptors_reserved; /* open files that the rest of the process may need */
    uint32_t connections_ip_max;   /* of one address; 0: three quarters of connections_max */
    uint32_t deadline_s;       /* a request must be complete this long after the connection or the previous response */
    uint32_t idle_s;           /* a connection without a request is closed after this time; 0: 60 */
    uint64_t body_bytes_max;   /* of one request, on routes that take a body */
    uint64_t bodies_bytes_max; /* memory of all bodies and what was made of them; above it 503.  0: a default */
    /* Memory of all responses that are not yet sent.  Above it, one of more than 4 KiB becomes 503.  0: a default */
    uint64_t answers_bytes_max;
    const char *cors_origin; /* "": no CORS headers */
    const char *host_names;  /* allowed in Host besides names of loopback, separated by commas; NULL: all are */
};

/* The server accepts connections when this returns 0.  Everything the settings point to is borrowed. */
int server_start(const struct server_settings *settings, struct server **ret, struct error *err);
uint16_t server_port(const struct server *server);
/* Liveness: requests /healthz over a connection to the server's own port.  False if nothing came within wait_ms. */
bool server_is_responsive(struct server *server, uint32_t wait_ms);
/*
 * Stops accepting connections; from now on every response closes its connection.  Must precede the responses that are
 * given because of the stop.
 */
void server_drain(struct server *server);
/*
 * Drains, waits for pending exchanges until `deadline_us` (clock_mono_us), responds with 503 to those still suspended,
 * and ends.  Responding to them later is allowed and has no effect.  NULL is fine.
 */
void server_stop(struct server *server, uint64_t deadline_us);
