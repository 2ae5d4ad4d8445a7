/*
 * desk: the API's way to the store without blocking its HTTP thread.
 *
 * A caller leaves an order (add, get, cancel) and goes on; a clerk thread takes all orders that lie
 * there, serves them as one group (one commit, one pipeline), and calls each order's `done` on its own thread.
 * There is a clerk for writing and one for reading, so that polls do not wait for commits.
 * An order taken is always answered, also when the store fails or the desk closes (ERROR_STORE).
 * Bounded: beyond `requests_max` lying orders, desk_* returns -1 with ERROR_BUSY and `done` is not called.
 */
#pragma once
#include "queue/queue.h"

struct async_store;

/* `err` is NULL on success, and then `added` says which (NULL otherwise).  The callee may free `context`. */
typedef void async_store_added(void *context, const struct store_added *added, const struct error *err);
/* The view belongs to the callee from here on (store_view_done); its fields are zero where err is set. */
typedef void async_store_got(void *context, struct store_view *view, const struct error *err);
typedef void async_store_cancelled(void *context, bool cancelled, const struct error *err);

/* `retried` false: it is not among the dead. */
typedef void async_store_retried(void *context, bool retried, const struct error *err);
/* Runs on the reading clerk, which waits for it: any call that reads the store, but no write.  -1 with *err. */
typedef int async_store_reader(struct store *store, void *context, struct error *err);
/* After it. `err` is NULL on success.  The callee may free `context`. */
typedef void async_store_read_done(void *context, const struct error *err);

int async_store_open(struct store *store, size_t requests_max, struct async_store **ret, struct error *err);
/* The desk takes over payload (moves the buffer out of *payload) when it returns 0. */
int async_store_add(struct async_store *async_store, const struct store_new *entry, struct buf *payload,
                    async_store_added *done, void *context, struct error *err);
int async_store_get(struct async_store *async_store, const char token[TOKEN_BYTES], async_store_got *done,
                    void *context, struct error *err);
/* For a view that is at hand already: `done` gets it on the reading clerk, as if it had been read.  Takes it over
 * (moves it out of *view) when it returns 0. */
int async_store_deliver(struct async_store *async_store, const char token[TOKEN_BYTES], struct store_view *view,
                        async_store_got *done, void *context, struct error *err);
int async_store_cancel(struct async_store *async_store, const char token[TOKEN_BYTES], async_store_cancelled *done,
                       void *context, struct error *err);
int async_store_retry(struct async_store *async_store, const char token[TOKEN_BYTES], async_store_retried *done,
                      void *context, struct error *err);
/* For what is read seldom (lists, depths): `read`, then `done`. */
int async_store_read(struct async_store *async_store, async_store_reader *read, async_store_read_done *done,
                     void *context, struct error *err);
/* Serves what lies there, then ends both clerks. */
void async_store_close(struct async_store *async_store);
