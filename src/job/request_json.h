/*
 * request_json: decodes and checks what a client sends; every 400 about a body comes from here.
 * Strict JSON (jansson): no duplicate keys, no trailing text, valid UTF-8, depth limited.
 * The error names the field ("[3].limits.processes") and what was expected.
 */
#pragma once
#include "base/text.h"
#include "job/submission.h"

struct config;

enum request_kind {
    REQUEST_BATCH,    /* an array; further elements inherit from the first (POST /execute/batch) */
    REQUEST_SINGLE,   /* one object (POST /execute) */
    REQUEST_PARALLEL, /* an array of unrelated programs: nothing is inherited (POST /execute-parallel) */
};

/*
 * On success *ret owns its arena and has a new token and created_ms = now.  `languages` must outlive it.
 * At most config->requests_max elements and REQUEST_TESTS_MAX tests in all.
 */
#define REQUEST_TESTS_MAX 1000
int request_decode(struct text body, enum request_kind kind, const struct languages *languages,
                   const struct config *config, struct submission *ret, struct error *err);
