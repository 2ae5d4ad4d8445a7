/*
 * request_json: decodes and checks the body of a request that submits programs.
 *
 * JSON is read strictly: no duplicate keys, no trailing text, valid UTF-8, within the maxima of json_scan.h.  An error
 * names the field ("[3].limits.processes", "" for the body itself), what was expected and what was found.
 *
 * Inheritance in a batch.  A later element inherits language, version, image, code, timeout and memory_limit from the
 * first element where its own are missing, null or empty, and network and assertions where they are missing or null.
 * If it names no other language, version, image or code, it is the same program and inherits files and limits, too.
 *
 * Precedence of limits, from low to high: the language's, the first element's, the element's, the test's.  Within one
 * object "limits" has precedence over "timeout" and "memory_limit".
 *
 * An element's stdin, args and expected_output apply to those of its tests[] that have none themselves.
 */
#pragma once
#include "base/text.h"
#include "model/submission.h"

struct config;

enum request_kind {
    REQUEST_BATCH,    /* an array; later elements inherit from the first (POST /execute/batch) */
    REQUEST_SINGLE,   /* one object (POST /execute) */
    REQUEST_PARALLEL, /* an array without inheritance (POST /execute-parallel) */
};

#define REQUEST_TESTS_MAX 1000
#define REQUEST_FILES_MAX 64
#define REQUEST_ARGS_MAX 64
#define REQUEST_ARGS_BYTES_MAX 8192
/* Call once before threads start: seeds the hash tables of the JSON library. */
void request_init(void);

/*
 * On success *ret owns its arena, and has a new token and created_ms = now.  `languages` must outlive *ret.  `images`
 * lists the extended images that the request may use (image_list_has).
 * Accepts at most config->requests_max elements and REQUEST_TESTS_MAX tests in total.
 */
int request_decode(struct text body, enum request_kind kind, const struct languages *languages, struct text images,
                   const struct config *config, struct submission *ret, struct error *err);
