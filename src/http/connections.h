/*
 * connections: absolute deadlines for connections, and lingering closes.
 *
 * libmicrohttpd has only idle timeouts, so a client could hold a connection indefinitely with one byte every few
 * seconds.  Here each phase of a connection has an absolute deadline, which received bytes do not extend.  One thread,
 * "http-deadline", shuts down late connections and handles lingering closes (see connection_linger).  This file knows
 * sockets, but neither HTTP nor libmicrohttpd.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

enum connection_phase {
    CONNECTION_NEW,      /* accepted, no request line yet */
    CONNECTION_READING,  /* the request line was read, the rest is pending */
    CONNECTION_HANDLING, /* the request is complete; no deadline, because the server causes the delay */
    CONNECTION_SENDING,
    CONNECTION_IDLE,     /* the response was sent, the next request has not begun */
    CONNECTION_UPGRADED, /* no longer HTTP: no deadline */
};

struct connections;
struct connection;

struct connections_settings {
    uint32_t deadline_s, idle_s;
    uint32_t connections_max;  /* when more than three quarters are in use, idle ones are closed earlier */
    struct text late_response; /* sent to a late connection in CONNECTION_READING before it is closed; borrowed */
};

/* Starts the thread. */
int connections_open(const struct connections_settings *settings, struct connections **ret, struct error *err);
/* Ends the thread and all lingering closes.  Every connection must have been removed.  NULL is fine. */
void connections_close(struct connections *connections);

/* `fd` is borrowed until connection_remove.  Returns NULL if memory ran out. */
struct connection *connection_add(struct connections *connections, int fd);
/* Must be called before the socket is closed. */
void connection_remove(struct connections *connections, struct connection *connection);

/* Sets the phase and its deadline.  `bytes`: size of the response in CONNECTION_SENDING, otherwise 0. */
void connection_enter(struct connections *connections, struct connection *connection, enum connection_phase phase,
                      uint64_t bytes);
enum connection_phase connection_phase(const struct connection *connection);
int connection_fd(const struct connection *connection);

/*
 * Announces that the connection will be closed while its client may still be sending.  A plain close would make the
 * kernel send a reset, and the client would lose a response it has not read yet.  Therefore connection_remove keeps the
 * socket open for at most two seconds and discards what arrives.
 */
void connection_linger(struct connection *connection);

/* The number of connections that are not UPGRADED. */
size_t connections_count(struct connections *connections);
/* Shuts down connections without a pending request; `all`: every connection that is not UPGRADED. */
void connections_shut(struct connections *connections, bool all);

/*
 * For the next seconds clients must read faster, because their responses take memory that others wait for.  Any
 * thread.
 */
void connections_hurry(struct connections *connections);

/* `wanted`, or as many as the limit of open files allows beside `reserved` others; at least 1. */
uint32_t connections_possible(uint32_t wanted, uint32_t reserved);
