/*
 * wait: exchanges that are answered when a submission has ended, or when their time is over.
 *
 * No wake-up can be lost: a wait is registered before the state it waits for is first read, and is read again at a slow
 * interval as a safety net, should the store not have told.
 */
#pragma once
#include "http/server.h"
#include "model/token.h"
#include "queue/async_store.h"

struct subscriptions;
struct long_poll;
struct long_polls;

enum long_poll_answer {
    LONG_POLL_STATUS,   /* what GET /submissions/{token} answers, 200 */
    LONG_POLL_ACCEPTED, /* the same; 202 where it has not ended */
    LONG_POLL_RESULTS,  /* the bare results, 200 */
};
#define LONG_POLL_EVER UINT64_MAX

/* `desk` and `watch` outlive it. */
int long_polls_open(struct async_store *async_store, struct subscriptions *subscriptions, struct long_polls **ret,
                    struct error *err);
/* All that wait are answered now with what is known, and later ones at once. */
void long_polls_drain(struct long_polls *long_polls);
/* The desk has been closed; nobody waits.  NULL is fine. */
void long_polls_close(struct long_polls *long_polls);

/* NULL with *err filled when out of memory.  Nothing is answered before long_poll_go. */
struct long_poll *long_poll_new(struct long_polls *long_polls, const char token[TOKEN_BYTES], struct exchange *exchange,
                                enum long_poll_answer answer, uint64_t wait_us, struct error *err);
/* From now on the exchange is the wait's.  `reads`: the state is not known yet, so it is read at once. */
void long_poll_go(struct long_poll *long_poll, bool reads);
/* Instead of long_poll_go: nothing is waited for after all. */
void long_poll_forget(struct long_poll *long_poll);
