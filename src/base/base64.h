/* base64: RFC 4648 with padding.  Results are appended to `out`. */
#pragma once
#include "base/buf.h"

int base64_encode(struct text bytes, struct buf *out, struct error *err);

/* Skips line breaks and blanks.  Anything else that is not base64 is an ERROR_REQUEST. */
int base64_decode(struct text base64, struct buf *out, struct error *err);
