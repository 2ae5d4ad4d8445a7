/*
 * large_results: responses with results that are too large to be read together with others.
 *
 * async_store leaves such results out.  One thread, "large-results", reads them one after the other.  Everyone who
 * waits for the same result shares one copy, and a copy is read only when server_settings.answers_bytes_max has room
 * for it.  Otherwise the request waits for at most ten seconds, and then gets 503.
 */
#pragma once
#include "api/long_poll.h"

struct large_results;
struct store;

/* `store` is borrowed. */
int large_results_open(struct store *store, struct large_results **ret, struct error *err);
/* Takes over the exchange.  `bytes`: store_view.left_out.  `is_repeated`: see submit_headers.  Any thread. */
void large_results_respond(struct large_results *results, struct exchange *exchange, const char token[TOKEN_BYTES],
                           enum long_poll_response response, bool is_repeated, uint64_t bytes);
/* Answers what is left with 503, then ends.  NULL is fine. */
void large_results_close(struct large_results *results);
