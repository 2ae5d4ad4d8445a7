/*
 * websocket: what the handshake and the hub share.
 */
#pragma once
#include "api/routes.h"

#define WEBSOCKET_TOKENS_MAX 1000

/* A client that is about to become a WebSocket, with the tokens its request named.  Owned by whom it is given to. */
struct newcomer {
    struct hub *hub;
    struct upgraded *upgraded;
    char *early; /* bytes that came right behind the request */
    size_t early_len;
    size_t tokens_len;
    struct newcomer *next;
    char tokens[][TOKEN_BYTES];
};

/* The `exchange_taken` of /ws; context is a newcomer. */
void websocket_taken(void *newcomer, struct upgraded *upgraded, struct text already_read);
