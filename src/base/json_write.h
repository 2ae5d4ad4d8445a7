/*
 * json_write: appends JSON values to a buffer.  The caller writes brackets, commas and keys.
 *
 * For large or frequent documents, where building a tree first would cost more than the encoding.
 */
#pragma once
#include "base/buf.h"

/*
 * Appends `text` as a quoted JSON string.  Ill-formed UTF-8 becomes U+FFFD; *ret_replaced, which may be NULL, tells
 * whether there was any.  NUL and control characters are written as \u00XX.
 */
int json_write_string(struct buf *out, struct text text, bool *ret_replaced, struct error *err);
/* The bytes that json_write_string would append. */
size_t json_string_bytes(struct text text);
/* As json_write_string, but null if the text is empty. */
int json_write_string_or_null(struct buf *out, struct text text, bool *ret_replaced, struct error *err);
/* Appends the bytes as a quoted string of base64. */
int json_write_base64(struct buf *out, struct text bytes, struct error *err);
/* Appends microseconds as a number of seconds without trailing zeros: 0.0, 1.5, 0.000001. */
int json_write_seconds(struct buf *out, uint64_t us, struct error *err);
