/*
 * request_json: decodes and checks what a client sends; every 400 about a body comes from here.
 * Strict JSON (jansson): no duplicate keys, no trailing text, valid UTF-8, depth limited.
 * The error names the field ("[3].limits.processes", "" for the body itself), what was expected and what came.
 *
 * A further element of a batch takes language, version, code, timeout and memory_limit from the first where its own
 * are missing, null or empty.  As long as it names no other language, version or code than the first it is the same
 * program, and takes files and limits too.  Limits build up: the language's, the first element's, the element's, the
 * test's; the nearest wins, and within one object "limits" wins over "timeout" and "memory_limit".
 * An element's stdin, args and expected_output hold for those of its tests[] that name none.
 */
#pragma once
#include "base/text.h"
#include "model/submission.h"

struct config;

enum request_kind {
    REQUEST_BATCH,    /* an array; further elements inherit from the first (POST /execute/batch) */
    REQUEST_SINGLE,   /* one object (POST /execute) */
    REQUEST_PARALLEL, /* an array of unrelated programs: nothing is inherited (POST /execute-parallel) */
};

#define REQUEST_TESTS_MAX 1000
#define REQUEST_FILES_MAX 64
#define REQUEST_ARGS_MAX 64
#define REQUEST_ARGS_BYTES_MAX 8192
/* Once, before threads start: gives the hash tables of the JSON library their secret seed. */
void request_init(void);

/*
 * On success *ret owns its arena and has a new token and created_ms = now.  `languages` must outlive it.
 * At most config->requests_max elements and REQUEST_TESTS_MAX tests in all.
 */
int request_decode(struct text body, enum request_kind kind, const struct languages *languages,
                   const struct config *config, struct submission *ret, struct error *err);
