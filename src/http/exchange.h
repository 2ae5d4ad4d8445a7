/*
 * exchange: one HTTP request and its response, as a route's handler uses them.
 *
 * A handler runs on the HTTP thread and never blocks.  It either responds inside its call, or keeps the pointer and
 * responds later from any thread.  An exchange ends with its response.
 */
#pragma once
#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "http/error_response.h"
#include "http/shared_body.h"

struct exchange;

/* The request.  Borrowed; valid on any thread until the response is given. */
struct text exchange_method(const struct exchange *exchange);
struct text exchange_path(const struct exchange *exchange);
struct text exchange_segment(const struct exchange *exchange); /* the part of the path that matched '*' */
struct text exchange_body(const struct exchange *exchange);
/* Frees the body early, because a long poll may hold its exchange for a minute. */
void exchange_release_body(struct exchange *exchange);
/*
 * Counts `bytes` of memory that were made from the body towards bodies_bytes_max, until exchange_release_body or the
 * response.  False if they do not fit.
 */
bool exchange_hold_bytes(struct exchange *exchange, size_t bytes);

/*
 * The next three may only be called inside the handler's call, and their values are valid until it returns.
 * Value of a query parameter or header; false if it is absent.  A header's value has no blanks at its ends.  In a
 * parameter percent-encoding is decoded, except %00.
 */
bool exchange_query(const struct exchange *exchange, const char *name, struct text *ret_value);
bool exchange_header(const struct exchange *exchange, const char *name, struct text *ret_value);
/* Calls `each` for every value of a repeated parameter, until it returns false. */
typedef bool exchange_value(void *context, struct text value);
void exchange_query_each(const struct exchange *exchange, const char *name, exchange_value *each, void *context);

/* server_settings.context. */
void *exchange_context(const struct exchange *exchange);
/* The authenticated client, set by server_settings.auth_check; NULL if it was not set.  Borrowed from the caller. */
void exchange_set_client(struct exchange *exchange, const void *client);
const void *exchange_client(const struct exchange *exchange);
/*
 * True if the peer has a loopback address and asks for itself: neither a proxy, nor a page of another origin, nor a
 * Host that is no name of this machine.  Only inside the handler's call.
 */
bool exchange_is_local(const struct exchange *exchange);
/* The value of Host, or the authority of a target in absolute form.  Only inside the handler's call. */
struct text exchange_host(const struct exchange *exchange);

/*
 * Responds, from any thread, exactly once.  The exchange must not be used afterwards.
 * The body is moved out of *body; NULL is an empty one.  extra_headers: "Name: value" strings and a NULL, or NULL.
 */
void exchange_respond(struct exchange *exchange, unsigned status, const char *content_type, struct buf *body,
                      const char *const *extra_headers);
/* The same, with `len` bytes of a shared body from an offset.  The body gets another owner until it was sent. */
void exchange_respond_shared(struct exchange *exchange, unsigned status, const char *content_type,
                             struct shared_body *body, size_t from, size_t len, const char *const *extra_headers);
/*
 * True if a response of so many bytes fits into answers_bytes_max; one that is alone always fits.  If it does not,
 * clients that read slowly are dropped earlier for some seconds.
 */
bool exchange_answer_fits(const struct exchange *exchange, uint64_t bytes);
/* The server's memory now: of request bodies, and of responses. */
void exchange_memory(const struct exchange *exchange, uint64_t *ret_bodies, uint64_t *ret_answers);
void exchange_respond_json(struct exchange *exchange, unsigned status, struct buf *body);
/*
 * Responds with the status and body of error_response.h, and with Retry-After if the status is 503.  A 5xx is logged
 * here with its cause, which the client does not see.
 */
void exchange_respond_error(struct exchange *exchange, const struct error *err);
void exchange_respond_error_with(struct exchange *exchange, const struct error *err, const char *const *extra_headers);
void exchange_respond_refusal(struct exchange *exchange, const struct refusal *refusal,
                              const char *const *extra_headers);
/* 200 with the JSON in *body if `err` is NULL, otherwise the error.  Consumes the body in both cases. */
void exchange_respond_result(struct exchange *exchange, struct buf *body, const struct error *err);

/*
 * A socket after a protocol upgrade.  It still counts towards the server's connection limits.  Its owner may read and
 * write the descriptor, and must call upgraded_close before server_stop returns.
 */
struct upgraded;
int upgraded_fd(const struct upgraded *upgraded);
void upgraded_close(struct upgraded *upgraded);

/*
 * Called on the HTTP thread after the 101 was sent.  `already_read`, valid for the call, followed the request's head.
 * If the client disconnects before the 101, `upgraded` is NULL, and the callee only frees `context`.
 */
typedef void exchange_upgraded(void *context, struct upgraded *upgraded, struct text already_read);
/* Responds with 101.  `accept` is the value of Sec-WebSocket-Accept.  Only inside the handler's call. */
void exchange_upgrade_websocket(struct exchange *exchange, const char *accept, exchange_upgraded *on_upgraded,
                                void *context);
