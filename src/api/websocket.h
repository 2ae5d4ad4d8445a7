/*
 * websocket: what the handshake and the hub share.
 */
#pragma once
#include "api/routes.h"

#define WEBSOCKET_TOKENS_MAX 1000

/* A client that is about to become a WebSocket, with the tokens its request named.  Owned by whom it is given to. */
struct ws_handshake {
    struct ws_server *ws_server;
    struct upgraded *upgraded;
    char *early; /* bytes that came right behind the request */
    size_t early_len;
    size_t tokens_len;
    struct ws_handshake *next;
    char tokens[][TOKEN_BYTES];
};

/* The `exchange_taken` of /ws; context is a newcomer. */
void websocket_taken(void *ws_handshake, struct upgraded *upgraded, struct text already_read);
