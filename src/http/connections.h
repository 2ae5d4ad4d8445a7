/*
 * connections: how long each connection may take, and its end.
 *
 * libmicrohttpd only knows idle time-outs, so one byte every few seconds would hold a connection for ever.  Here each
 * connection has an absolute deadline, which depends on its phase and which no byte of the client moves.  One thread,
 * the sweeper, ends what is late; it also reads away what a refused client still sends (see connection_linger).
 * It knows sockets, but nothing of HTTP or libmicrohttpd.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

enum connection_phase {
    CONNECTION_NEWBORN,  /* accepted, no request line yet */
    CONNECTION_READING,  /* a request line is there, the rest is under way */
    CONNECTION_HANDLING, /* the request is whole; the delay is ours: no deadline */
    CONNECTION_SENDING,
    CONNECTION_IDLE,     /* answered, no request line of the next request yet */
    CONNECTION_UPGRADED, /* no longer HTTP: no deadline */
};

struct connections;
struct connection;

struct connections_settings {
    uint32_t deadline_s, idle_s;
    struct text late_answer; /* sent as it is before a late connection in CONNECTION_READING is closed; borrowed */
};

/* Starts the sweeper. */
int connections_open(const struct connections_settings *settings, struct connections **ret, struct error *err);
/* Ends the sweeper and what lingers.  Every connection has been removed.  NULL is fine. */
void connections_close(struct connections *connections);

/* `fd` is borrowed until connection_remove.  NULL where memory ran out. */
struct connection *connection_add(struct connections *connections, int fd);
/* Must be called before the socket is closed. */
void connection_remove(struct connections *connections, struct connection *connection);

/* A new phase, with the deadline that belongs to it; `bytes` are those of the answer to be sent, otherwise 0. */
void connection_enter(struct connections *connections, struct connection *connection, enum connection_phase phase,
                      uint64_t bytes);
enum connection_phase connection_phase(const struct connection *connection);
int connection_fd(const struct connection *connection);

/* Kept here from the request line until the headers are checked. */
void connection_set_target_valid(struct connection *connection, bool is_valid);
bool connection_target_is_valid(const struct connection *connection);

/*
 * This connection is going to be closed while its client may still be sending.  A plain close would make the kernel
 * answer with a reset, and the client would lose the answer it has not read yet.  So at connection_remove the socket
 * is kept open for reading for two seconds at most.
 */
void connection_linger(struct connection *connection);

/* Connections that are not UPGRADED. */
size_t connections_count(struct connections *connections);
/* Shuts down those that have no request under way; `all`: every one that is not UPGRADED. */
void connections_shut(struct connections *connections, bool all);

/* `wanted`, or less where the process may not have as many descriptors (whose limit is raised as far as it goes). */
uint32_t connections_possible(uint32_t wanted);
