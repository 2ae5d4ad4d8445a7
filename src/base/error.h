/*
 * error: why an operation failed, in words an operator can act on.
 *
 * A function that can fail takes `struct error *err` last and returns 0, or -1 with *err filled.  It leaves *err alone
 * on success.  The caller owns the struct, usually on its stack, so reporting a failure never allocates.  A function
 * that returns an error does not log it: only the outermost function of a request or a thread does.
 *
 * Texts and fields are always well-formed UTF-8 without control characters, whatever they quote.
 */
#pragma once
#include <stddef.h>

#include "base/banned.h"

/* What kind of failure it is, which decides who is to blame and whether to retry. */
enum error_kind {
    ERROR_NONE = 0,
    ERROR_REQUEST, /* the client's request is wrong: never retried */
    ERROR_MISSING, /* what was asked for does not exist, or no longer */
    ERROR_BUSY,    /* out of capacity or memory: worth retrying later */
    ERROR_STORE,   /* the database failed: the operation is retried */
    ERROR_SANDBOX, /* a program could not be run; the program is not to blame */
    ERROR_USAGE,   /* the command line is wrong */
    ERROR_SETUP,   /* the configuration or the host is wrong: refuse to start */
    ERROR_BUG,     /* a defect of this software */
};

struct error {
    enum error_kind kind;
    int os;         /* errno, or 0 */
    char field[96]; /* ERROR_REQUEST: which part of the request is wrong, as "[2].size"; else "" */
    char text[320];
};

/* Fills *err and returns -1.  If os is not 0, appends the text of that errno: "open x: No such file ...". */
__attribute__((format(printf, 4, 5), nonnull(1, 4))) int error_set(struct error *err, enum error_kind kind, int os,
                                                                   const char *fmt, ...);

/* Like error_set with ERROR_REQUEST, but also names the wrong field. */
__attribute__((format(printf, 3, 4), nonnull(1, 2, 3))) int error_field(struct error *err, const char *field,
                                                                        const char *fmt, ...);

/* Prefixes the text: "open evalx.db" becomes "start store: open evalx.db".  Returns -1. */
__attribute__((format(printf, 2, 3), nonnull)) int error_within(struct error *err, const char *fmt, ...);

/* A stable word for a kind: "bad_request", "busy", ...  Clients see it. */
const char *error_kind_name(enum error_kind kind);
