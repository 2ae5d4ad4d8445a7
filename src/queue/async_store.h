/*
 * async_store: non-blocking access to a store, for the HTTP thread of the API.
 *
 * Each call queues a request and returns; an I/O thread makes the blocking call to the store and then runs the
 * request's callback.  There are two I/O threads: "store-write" for adds, cancels and retries, and "store-read" for the
 * rest, so that reads do not wait for commits.  Requests that arrive while a thread is busy become its next group: one
 * commit, one round trip.
 *
 * Every queued request is answered once, also when the store fails or closes.  At most requests_max are queued and
 * unanswered; beyond that a call fails with ERROR_BUSY and its callback is not called.
 */
#pragma once
#include "queue/queue.h"

struct async_store;

/*
 * Callbacks run on the I/O thread and may free `context`.  `err` is NULL on success.
 */
typedef void async_store_added(void *context, const struct store_added *added, const struct error *err);
/*
 * The callee owns the view and ends it with store_view_done.  It is zero if `err` is set.  Results of more than
 * ASYNC_STORE_RESULT_MAX bytes are left out: see store_get_below.
 */
#define ASYNC_STORE_RESULT_MAX (256u << 10)
typedef void async_store_got(void *context, struct store_view *view, const struct error *err);
typedef void async_store_cancelled(void *context, bool cancelled, const struct error *err);
typedef void async_store_retried(void *context, bool retried, const struct error *err); /* see store_dead_retry */
typedef void async_store_read_done(void *context, const struct error *err);
/* Runs on the I/O thread for reads and may make any call that does not write.  Returns -1 with *err. */
typedef int async_store_reader(struct store *store, void *context, struct error *err);

/* The store is borrowed until async_store_close. */
int async_store_open(struct store *store, size_t requests_max, struct async_store **ret, struct error *err);
/* Takes over the payload (moves it out of *payload) on success. */
int async_store_add(struct async_store *async_store, const struct store_new *entry, struct buf *payload,
                    async_store_added *done, void *context, struct error *err);
int async_store_get(struct async_store *async_store, const char token[TOKEN_BYTES], async_store_got *done,
                    void *context, struct error *err);
/* Passes a known view to `done` on the I/O thread, as if it had been read.  Takes it over on success. */
int async_store_deliver(struct async_store *async_store, const char token[TOKEN_BYTES], struct store_view *view,
                        async_store_got *done, void *context, struct error *err);
int async_store_cancel(struct async_store *async_store, const char token[TOKEN_BYTES], async_store_cancelled *done,
                       void *context, struct error *err);
int async_store_retry(struct async_store *async_store, const char token[TOKEN_BYTES], async_store_retried *done,
                      void *context, struct error *err);
/* Calls `read`, then `done`.  For rare reads such as lists and depths. */
int async_store_read(struct async_store *async_store, async_store_reader *read, async_store_read_done *done,
                     void *context, struct error *err);
/* Serves what is queued, then stops both threads.  NULL is allowed. */
void async_store_close(struct async_store *async_store);
