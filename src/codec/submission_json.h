/*
 * submission_json: the encoding of a submission in the store.
 *
 * It has a version ("v": 1).  An evalx reads whatever the same version wrote.  Another version, or anything unreadable,
 * is an ERROR_BUG, with which the worker fails the submission.
 */
#pragma once
#include "base/buf.h"
#include "model/submission.h"

int submission_encode(const struct submission *submission, struct buf *out, struct error *err);

/* `languages` must outlive *ret.  A language that is not among them is an ERROR_SANDBOX. */
int submission_decode(struct text encoded, const struct languages *languages, struct submission *ret,
                      struct error *err);
