/*
 * ws: GET /ws, which sends the state changes of the submissions that a client subscribes to.
 */
#pragma once
#include <stdint.h>

#include "http/exchange.h"

struct api;
struct ws_server;

int ws_server_open(struct api *api, struct ws_server **ret, struct error *err);
/* Closes all connections and accepts no more.  The store may still call back; after it stopped, ws_server_close. */
void ws_server_drain(struct ws_server *server);
void ws_server_close(struct ws_server *server); /* NULL is fine */

/* See websocket_server_bytes. */
uint64_t ws_server_bytes(const struct ws_server *server);

void ws_connect(struct exchange *exchange, void *api); /* the handler of the route */
