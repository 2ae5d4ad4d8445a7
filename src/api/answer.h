/*
 * answer: the bodies this API answers with, and the status that belongs to each failure.  Pure.
 */
#pragma once
#include "base/buf.h"
#include "model/submission.h"
#include "model/token.h"

struct store_view;

/* One table: whose fault it is -> what the client is told. */
unsigned answer_status(enum error_kind kind);
/* The word in error.code for a status that no error kind stands for (405, 413, ...). */
const char *answer_code(unsigned status);

/*
 * What a client may read of an error: the text of a refusal, but of a failure of ours only that it happened.
 * Paths, hosts and errno belong in the log.
 */
const char *answer_message(const struct error *err);

/* {"error":{"code","message","field"}}; field is null where it is "". */
int answer_error(const char *code, const char *message, const char *field, struct buf *out, struct error *err);

/* {"token","status":"Queued","results":null}: what an accepted POST answers with. */
int answer_queued(const char *token, struct buf *out, struct error *err);
/* What GET /submissions/{token} answers with.  The results were encoded by the worker and are copied as they are. */
int answer_view(const char *token, const struct store_view *view, struct buf *out, struct error *err);
/* {"token","status"}: a change of state, as /ws tells it. */
int answer_state(const char *token, enum submission_state state, struct buf *out, struct error *err);

/* A whole HTTP/1.1 message with an error, Connection: close, for a socket on which no answer can be given otherwise. */
int answer_raw(unsigned status, const char *message, const char *cors_origin, struct buf *out, struct error *err);
