/*
 * websocket_internal: what the opening handshake and the connections share.
 */
#pragma once
#include "http/websocket.h"

/* A connection that is not open yet.  Takes over `state`, also if memory ran out and it returns NULL. */
struct websocket *websocket_new(struct websocket_server *server, void *state, struct error *err);
void websocket_free(struct websocket *websocket); /* one that was never upgraded; calls `closed` */
/* The exchange_upgraded of a handshake; the context is the connection.  HTTP thread. */
void websocket_on_upgraded(void *websocket, struct upgraded *upgraded, struct text already_read);
