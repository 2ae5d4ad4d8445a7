/*
 * watch: who wants to hear of which submission.  The store tells of every change; here it finds those who wait for
 * that token.  Any thread.
 */
#pragma once
#include "base/error.h"
#include "base/token.h"
#include "job/submission.h"

struct store_view;
struct watch;

/* Part of the structure of whoever waits.  `token` and `changed` are set before watch_add. */
struct watcher {
    char token[TOKEN_BYTES];
    /* Called under watch's lock, on a thread of the store: short, and no call back into watch. */
    void (*changed)(struct watcher *watcher, enum submission_state state);
    /* Likewise; what store_watch_ends tells.  NULL: it does not care. */
    void (*ended)(struct watcher *watcher, const struct store_view *end);
    struct watcher *previous, *next;
};

int watch_open(struct watch **ret, struct error *err);
void watch_close(struct watch *watch); /* nobody watches any more; NULL is fine */

void watch_add(struct watch *watch, struct watcher *watcher);
/* When it returns, `changed` is not running and will not be called again. */
void watch_remove(struct watch *watch, struct watcher *watcher);
void watch_tell(struct watch *watch, const char token[TOKEN_BYTES], enum submission_state state);
void watch_tell_end(struct watch *watch, const char token[TOKEN_BYTES], const struct store_view *end);
