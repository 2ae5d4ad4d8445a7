/*
 * result_json: encodes results once, in the worker; the API splices the text into its answers.
 * Fields: reference-api's compile_time, stdout, stderr (null when empty), exit_code, run_time,
 * space_consumed ("12.34 MB", MB = 2^20), and ours: status, cpu_time, wall_time (seconds), memory_bytes, signal (name
 * or null), output_truncated, stderr_truncated, output_replaced (invalid UTF-8 was replaced),
 * stdout_base64/stderr_base64 (on request), compile_output (or null), compile_cached, result_cached, message (or null),
 * language,
 * version, test, element.  run_time is the wall time, 0.0 where only a compiler ran.
 */
#pragma once
#include "base/buf.h"
#include "model/result.h"

/* Appends a JSON array.  On error what was appended so far stays, and is no JSON. */
int results_encode(const struct result results[], size_t results_len, struct buf *out, struct error *err);
