/*
 * submission_json: the encoding of a submission in the store.
 *
 * It has a version ("v": 1).  An evalx reads its own version and all older ones.  A newer one, or anything unreadable,
 * is an ERROR_BUG, with which the worker fails the submission.
 *
 * A submission gets the lowest version that can express it, and waits in a queue of that version (queue_name), which
 * only workers that read it serve.  So in a fleet of two versions an older worker never gets what it would run wrongly.
 * Whatever changes how a program runs, or cannot be ignored, needs a new version: see submission_version.
 */
#pragma once
#include "base/buf.h"
#include "model/submission.h"

#define SUBMISSION_VERSION_MAX 3

/* The lowest version that can express the submission. */
unsigned submission_version(const struct submission *submission);
int submission_encode(const struct submission *submission, struct buf *out, struct error *err);

/* `languages` must outlive *ret.  A language that is not among them is an ERROR_SANDBOX with its id as `field`. */
int submission_decode(struct text encoded, const struct languages *languages, struct submission *ret,
                      struct error *err);
