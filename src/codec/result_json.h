/*
 * result_json: encodes results as JSON.  The worker does it once; the API inserts the text into its responses.
 *
 * Fields that older clients read: compile_time, stdout, stderr (null when empty), exit_code, run_time (the wall time,
 * 0.0 if only a compiler ran), space_consumed ("12.34 MB", MB = 2^20).
 *
 * Further fields: status, cpu_time, wall_time (seconds), memory_bytes, signal (a name or null), output_truncated,
 * stderr_truncated, output_replaced (ill-formed UTF-8 was replaced), stdout_base64 and stderr_base64 (on request),
 * compile_output (or null), compile_cached, result_cached, message (or null), language, version, test, element.
 */
#pragma once
#include "base/buf.h"
#include "model/result.h"

/* The bytes that the outputs of a result take in the array. */
uint64_t result_outputs_bytes(const struct result *result);
/* Appends a JSON array.  On error `out` holds an incomplete array. */
int results_encode(const struct result results[], size_t results_len, struct buf *out, struct error *err);
