/*
 * submission_response: the bodies that describe one submission.  Pure.
 */
#pragma once
#include "base/buf.h"
#include "model/submission.h"
#include "model/token.h"

struct store_view;

/* The headers of each response to a POST that a submission answers: Location, and Idempotent-Replayed if `repeated`. */
struct submit_headers {
    const char *lines[3];
    char location[sizeof "Location: /submissions/" + TOKEN_LEN];
};
const char *const *submit_headers(struct submit_headers *headers, const char *token, bool repeated);

/* {"token","status":"Queued","results":null}: the body of an accepted POST. */
int submission_response_queued(const char *token, struct buf *out, struct error *err);
/*
 * The body of GET /submissions/{token}, or ERROR_MISSING if the store did not find it.  A worker encoded the results as
 * JSON; they are copied unchanged.
 */
int submission_response_view(const char *token, const struct store_view *view, struct buf *out, struct error *err);
/* The same in pieces, for a submission that was found: what precedes its results, and what follows them. */
int submission_response_head(const char *token, const struct store_view *view, struct buf *out, struct error *err);
int submission_response_tail(const struct store_view *view, struct buf *out, struct error *err);
#define SUBMISSION_ENVELOPE_BYTES 4096 /* at most, both pieces of a submission that did not fail */
/* A maximum for a buffer that takes the above: an error text may grow to six times its size when it is escaped. */
size_t submission_response_bytes_max(const struct store_view *view);
/* {"token","status"}: a change of state, as sent over /ws. */
int submission_response_state(const char *token, enum submission_state state, struct buf *out, struct error *err);
