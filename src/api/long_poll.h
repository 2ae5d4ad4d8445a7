/*
 * long_poll: exchanges that get their response when a submission has ended, or at a deadline (?wait=).
 *
 * No wake-up can be lost: a long poll subscribes to the submission before it first reads the state.  As a safety net it
 * also reads at a slow interval, in case the store's change feed missed a change.
 */
#pragma once
#include "http/server.h"
#include "model/token.h"
#include "queue/async_store.h"

struct large_results;
struct subscriptions;
struct long_poll;
struct long_polls;

enum long_poll_response {
    LONG_POLL_STATUS,    /* 200 with the body of GET /submissions/{token} */
    LONG_POLL_SUBMITTED, /* the same, with the headers of a response to a POST */
    LONG_POLL_RESULTS,   /* 200 with only the results, and these headers */
};
#define LONG_POLL_NO_DEADLINE UINT64_MAX

/* The first three are borrowed. */
int long_polls_open(struct async_store *async_store, struct subscriptions *subscriptions,
                    struct large_results *large_results, struct long_polls **ret, struct error *err);
/* Answers all long polls now with the current state, and later ones at once. */
void long_polls_drain(struct long_polls *long_polls);
/* After async_store was closed and no exchange waits.  NULL is fine. */
void long_polls_close(struct long_polls *long_polls);

/* NULL with *err if memory ran out.  No response is sent before long_poll_start.  wait_us: or LONG_POLL_NO_DEADLINE. */
struct long_poll *long_poll_new(struct long_polls *long_polls, const char token[TOKEN_BYTES], struct exchange *exchange,
                                enum long_poll_response response, uint64_t wait_us, struct error *err);
/* Takes over the exchange. */
enum long_poll_start {
    LONG_POLL_ADDED,    /* the submission was added just now */
    LONG_POLL_EXISTS,   /* its state is not known yet, so it is read at once */
    LONG_POLL_REPEATED, /* the same, and an Idempotency-Key named it */
};
void long_poll_start(struct long_poll *long_poll, enum long_poll_start start);
/* Instead of long_poll_start: frees it without a response. */
void long_poll_discard(struct long_poll *long_poll);
