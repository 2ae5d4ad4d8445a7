/*
 * json_write: appends pieces of JSON to a buffer.  The caller sets the brackets, commas and keys.
 * For what is written often and may be large (results, queued submissions); there, building a tree first costs more
 * than the encoding itself.
 */
#pragma once
#include "base/buf.h"

/*
 * Appends `text` as a JSON string with its quotes.  Bytes that are not UTF-8 become U+FFFD; *ret_replaced says
 * whether any did (may be NULL).  NUL and control characters are written as \u00XX.
 */
int json_write_string(struct buf *out, struct text text, bool *ret_replaced, struct error *err);
/* The string, or null where it is empty. */
int json_write_string_or_null(struct buf *out, struct text text, bool *ret_replaced, struct error *err);
/* As base64, with quotes. */
int json_write_base64(struct buf *out, struct text bytes, struct error *err);
/* Microseconds as a real number of seconds, without needless zeros: 0.0, 1.5, 0.000001. */
int json_write_seconds(struct buf *out, uint64_t us, struct error *err);
