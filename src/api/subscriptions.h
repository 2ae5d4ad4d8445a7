/*
 * watch: who wants to hear of which submission.  The store tells of every change; here it finds those who wait for
 * that token.  Any thread.
 */
#pragma once
#include "base/error.h"
#include "model/submission.h"
#include "model/token.h"

struct store_view;
struct subscriptions;

/* Part of the structure of whoever waits.  `token` and `changed` are set before subscriptions_add. */
struct subscriber {
    char token[TOKEN_BYTES];
    /* Called under watch's lock, on a thread of the store: short, and no call back into watch. */
    void (*changed)(struct subscriber *subscriber, enum submission_state state);
    /* Likewise; what store_watch_results tells.  NULL: it does not care. */
    void (*ended)(struct subscriber *subscriber, const struct store_view *end);
    struct subscriber *previous, *next;
};

int subscriptions_open(struct subscriptions **ret, struct error *err);
void subscriptions_close(struct subscriptions *subscriptions); /* nobody watches any more; NULL is fine */

void subscriptions_add(struct subscriptions *subscriptions, struct subscriber *subscriber);
/* When it returns, `changed` is not running and will not be called again. */
void subscriptions_remove(struct subscriptions *subscriptions, struct subscriber *subscriber);
void subscriptions_notifytell(struct subscriptions *subscriptions, const char token[TOKEN_BYTES],
                              enum submission_state state);
void subscriptions_notifytell_end(struct subscriptions *subscriptions, const char token[TOKEN_BYTES],
                                  const struct store_view *end);
