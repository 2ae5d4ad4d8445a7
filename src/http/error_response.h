/*
 * error_response: the one body that every failed request gets, and the table from errors to HTTP statuses.  Pure.
 *
 *     {"error":{"code":"bad_request","message":"...","field":"Content-Length"}}
 */
#pragma once
#include "base/buf.h"
#include "base/error.h"

/* Access-Control-Expose-Headers: what pages of another origin may read. */
#define EXPOSED_HEADERS "Allow, Idempotent-Replayed, Location, Retry-After, WWW-Authenticate"

/* A refused request.  The strings are borrowed, usually literals. */
struct refusal {
    unsigned status; /* 0: the request is not refused */
    const char *field;
    const char *message;
    const char *code; /* NULL: error_response_code(status) */
};

/* The status for each kind of error.  A kind is never mapped anywhere else. */
unsigned error_response_status(enum error_kind kind);
/* The word in error.code for a status without an error kind (405, 413, ...). */
const char *error_response_code(unsigned status);

/*
 * The part of an error that a client may read.  It is the whole text where the client made a mistake.  An internal
 * failure is only reported as such, because paths, host names and errno belong in the log.
 */
const char *error_response_message(const struct error *err);

/* Appends the body above to `out`; the field is null where it is "". */
int error_response_body(const char *code, const char *message, const char *field, struct buf *out, struct error *err);
/*
 * Appends a complete HTTP/1.1 response with Connection: close, for a socket on which the server cannot respond in the
 * normal way.  The status is 408, 413 or 503.
 */
int error_response_raw(unsigned status, const char *message, const char *cors_origin, struct buf *out,
                       struct error *err);
