/*
 * subscriptions: passes the store's changes on to the long polls and WebSocket subscriptions of that submission.  Any
 * thread.
 */
#pragma once
#include "base/error.h"
#include "model/submission.h"
#include "model/token.h"

struct store_view;
struct subscriptions;

/* Embedded in the subscriber's struct, which sets `token`, `changed` and `ended` before subscriptions_add. */
struct subscriber {
    char token[TOKEN_BYTES];
    /* Called with the lock of the subscriptions held, on a thread of the store.  Must be short and not call back. */
    void (*changed)(struct subscriber *subscriber, enum submission_state state);
    /* Likewise, for store_watch_results.  NULL: not called. */
    void (*ended)(struct subscriber *subscriber, const struct store_view *end);
    struct subscriber *previous, *next;
};

int subscriptions_open(struct subscriptions **ret, struct error *err);
void subscriptions_close(struct subscriptions *subscriptions); /* without subscribers; NULL is fine */

void subscriptions_add(struct subscriptions *subscriptions, struct subscriber *subscriber);
/* When it returns, `changed` is not running and will not be called again. */
void subscriptions_remove(struct subscriptions *subscriptions, struct subscriber *subscriber);
void subscriptions_notify(struct subscriptions *subscriptions, const char token[TOKEN_BYTES],
                          enum submission_state state);
void subscriptions_notify_end(struct subscriptions *subscriptions, const char token[TOKEN_BYTES],
                              const struct store_view *end);
