/* subscribe_json: what a client of /ws sends: {"subscribe":["TOKEN",...]}. */
#pragma once
#include "base/error.h"
#include "base/text.h"
#include "model/token.h"

/* Returns false to stop. */
typedef bool subscribe_token(void *context, const char token[TOKEN_BYTES]);

/* Calls `each` for every token, after all of them have been checked. */
int subscribe_decode(struct text message, subscribe_token *each, void *context, struct error *err);
