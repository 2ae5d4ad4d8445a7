/*
 * submission_json: the form in which a submission waits in the store.
 * Versioned ("v": 1), decodes everything an encoder of the same version wrote; a newer version or
 * something unreadable is ERROR_BUG with a text, and the worker fails the submission with it.
 */
#pragma once
#include "base/buf.h"
#include "model/submission.h"

int submission_encode(const struct submission *submission, struct buf *out, struct error *err);

/* `languages` must outlive *ret.  A language this worker does not have is ERROR_SANDBOX. */
int submission_decode(struct text encoded, const struct languages *languages, struct submission *ret,
                      struct error *err);
