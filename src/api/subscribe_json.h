/* subscribe_json: the message of a /ws client, {"subscribe":["TOKEN",...]}. */
#pragma once
#include "base/error.h"
#include "base/text.h"
#include "model/token.h"

/* Returns false to stop. */
typedef bool subscribe_token(void *context, const char token[TOKEN_BYTES]);

/* Checks all tokens, then calls `each` for every one. */
int subscribe_decode(struct text message, subscribe_token *each, void *context, struct error *err);
