/*
 * websocket: WebSocket connections (RFC 6455), text messages only.
 *
 * One thread, "websocket", owns all connections of a server and makes all callbacks, except as stated.  The owner of
 * the server attaches a state to each connection.  A callback may send or close, but never frees the connection.
 */
#pragma once
#include "http/exchange.h"

struct websocket; /* one connection; used only in callbacks for it */
struct websocket_server;

/*
 * A notification from another thread.  The first member of the sender's struct, allocated by malloc; the server frees
 * it.  The id names the connection, and the event is dropped if that connection has ended.
 */
struct websocket_event {
    uint64_t websocket_id;
    struct websocket_event *next;
};

struct websocket_callbacks {
    void (*opened)(void *state, struct websocket *websocket); /* the pointer is valid until `closed` */
    void (*message)(void *state, struct text text);
    void (*event)(void *state, const struct websocket_event *event);
    void (*tick)(void *state, uint64_t now_us); /* four times a second */
    /* The last callback; frees the state.  If the upgrade failed, it runs on the HTTP thread and without `opened`. */
    void (*closed)(void *state);
};

#define WEBSOCKET_POLICY_VIOLATION 1008 /* RFC 6455 section 7.4.1 */
#define WEBSOCKET_TRY_AGAIN_LATER 1013  /* registered by IANA */

/*
 * `callbacks` is borrowed.  bytes_max: memory of all unsent and half-received messages; above it, connections that hold
 * more than 4 KiB are dropped.  0: a default.
 */
int websocket_server_open(const struct websocket_callbacks *callbacks, uint64_t bytes_max,
                          struct websocket_server **ret, struct error *err);
/* That memory now.  Any thread. */
uint64_t websocket_server_bytes(const struct websocket_server *server);
/* Closes all connections with 1001 "going away", accepts no more, and ends the thread.  Events may still be posted. */
void websocket_server_drain(struct websocket_server *server);
/* Frees it, after the drain and the last event.  NULL is fine. */
void websocket_server_close(struct websocket_server *server);

/*
 * In a route's handler: checks the opening handshake, and Origin against the server's cors_origin.  If it is invalid,
 * responds and returns false.
 */
bool websocket_check_handshake(struct exchange *exchange);
/* Responds to a checked handshake with 101, or with an error.  Takes over `state`. */
void websocket_accept(struct websocket_server *server, struct exchange *exchange, void *state);

/* Never used again for another connection. */
uint64_t websocket_id(const struct websocket *websocket);
/* Queues a text message.  A client with too many unsent bytes is dropped. */
void websocket_send(struct websocket *websocket, const struct buf *text);
/* Begins the closing handshake; later messages in both directions are ignored. */
void websocket_close(struct websocket *websocket, uint16_t code, const char *reason);
/* Any thread.  Takes over the event. */
void websocket_post(struct websocket_server *server, struct websocket_event *event);
