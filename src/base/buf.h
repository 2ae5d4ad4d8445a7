/*
 * buf: a byte string that owns its memory and grows up to a maximum.
 *
 * Appending beyond the maximum fails with ERROR_REQUEST, because buffers hold what a client or its program sent.
 * Without memory it fails with ERROR_BUSY.  A failure leaves the buffer unchanged.  {0} with a maximum is an empty
 * buffer.  Not thread-safe.
 */
#pragma once
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

struct buf {
    char *at; /* NULL before the first append; otherwise at[len] is '\0' */
    size_t len;
    size_t cap;
    size_t max;
};

void buf_init(struct buf *buf, size_t max);
void buf_done(struct buf *buf);            /* frees the memory; the buffer is empty and keeps its maximum */
void buf_clear(struct buf *buf);           /* empties the buffer, keeps the memory */
void buf_cut(struct buf *buf, size_t len); /* shortens the buffer to `len` bytes, keeps the memory */

/* Makes room for `len` bytes at buf->at + buf->len, which the caller writes and adds to buf->len. */
int buf_reserve(struct buf *buf, size_t len, struct error *err);
int buf_append(struct buf *buf, const void *bytes, size_t len, struct error *err);
int buf_append_text(struct buf *buf, struct text text, struct error *err);
__attribute__((format(printf, 3, 4))) int buf_printf(struct buf *buf, struct error *err, const char *fmt, ...);

static inline struct text buf_text(const struct buf *buf)
{
    return (struct text){ buf->at, buf->len };
}

#define auto_buf __attribute__((cleanup(buf_done)))
