/*
 * error: why an operation failed, in words an operator can act on.
 *
 * The caller owns the struct (usually on its stack), so reporting a failure
 * never allocates, even when memory is what ran out.  A function that can fail
 * takes `struct error *err` last and returns 0, or -1 with *err filled.  On
 * success *err is left alone.  A function that returns an error does not log it:
 * only the outermost function of a request or a thread does.
 *
 * Texts and fields are always well-formed UTF-8 without control characters, whatever was quoted in them.
 */
#pragma once
#include <stddef.h>

#include "base/banned.h"

/* Whose fault it is.  api/ maps this to one HTTP status, worker/ to retry or give up. */
enum error_kind {
    ERROR_NONE = 0,
    ERROR_REQUEST, /* the client sent something we refuse: 4xx, never retried */
    ERROR_MISSING, /* what was asked for does not exist (or no longer): 404 */
    ERROR_BUSY,    /* a limit of ours was reached: 503 with Retry-After, worth retrying */
    ERROR_STORE,   /* the queue or result store failed: 503, retried by us */
    ERROR_SANDBOX, /* a box could not be built or broke: the program is not to blame */
    ERROR_SETUP,   /* the operator's configuration or host is wrong: refuse to start */
    ERROR_BUG,     /* an answer nobody should ever see: 500 */
};

struct error {
    enum error_kind kind;
    int os;         /* errno, or 0 when the kernel was not involved */
    char field[96]; /* ERROR_REQUEST: which part of the request, as "[2].limits.processes"; else "" */
    char text[320];
};

/* Fills *err and returns -1.  With os != 0 the text of that errno is appended: "open x: No such ...". */
__attribute__((format(printf, 4, 5), nonnull(1, 4))) int error_set(struct error *err, enum error_kind kind, int os,
                                                                   const char *fmt, ...);

/* Like error_set for ERROR_REQUEST, naming the field that is wrong. */
__attribute__((format(printf, 3, 4), nonnull(1, 2, 3))) int error_field(struct error *err, const char *field,
                                                                        const char *fmt, ...);

/* Prefixes what is already there: "open evalx.db" -> "start store: open evalx.db".  Returns -1. */
__attribute__((format(printf, 2, 3), nonnull)) int error_within(struct error *err, const char *fmt, ...);

/* A short stable word for a kind, as clients see it in error.code: "bad_request", "busy", ... */
const char *error_kind_name(enum error_kind kind);
