/*
 * wait: exchanges that are answered when a submission has ended, or when their time is over.
 *
 * No wake-up can be lost: a wait is registered before the state it waits for is first read, and is read again at a slow
 * interval as a safety net, should the store not have told.
 */
#pragma once
#include "api/server.h"
#include "base/token.h"
#include "store/desk.h"

struct watch;
struct wait;
struct waits;

enum wait_answer {
    WAIT_FOR_STATUS,   /* what GET /submissions/{token} answers, 200 */
    WAIT_FOR_ACCEPTED, /* the same; 202 where it has not ended */
    WAIT_FOR_RESULTS,  /* the bare results, 200 */
};
#define WAIT_FOR_EVER UINT64_MAX

/* `desk` and `watch` outlive it. */
int waits_open(struct desk *desk, struct watch *watch, struct waits **ret, struct error *err);
/* All that wait are answered now with what is known, and later ones at once. */
void waits_drain(struct waits *waits);
/* The desk has been closed; nobody waits.  NULL is fine. */
void waits_close(struct waits *waits);

/* NULL with *err filled when out of memory.  Nothing is answered before wait_go. */
struct wait *wait_new(struct waits *waits, const char token[TOKEN_BYTES], struct exchange *exchange,
                      enum wait_answer answer, uint64_t wait_us, struct error *err);
/* From now on the exchange is the wait's.  `reads`: the state is not known yet, so it is read at once. */
void wait_go(struct wait *wait, bool reads);
/* Instead of wait_go: nothing is waited for after all. */
void wait_forget(struct wait *wait);
