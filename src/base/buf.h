/*
 * buf: bytes that are owned and grow, up to a maximum given at birth.
 * Appending beyond the maximum (ERROR_REQUEST: what fills a buffer is what a client or its program sent), or with no
 * memory left (ERROR_BUSY), is an error and leaves the buffer as it was.
 * Empty is {0} with a maximum.  One owner, one thread at a time.
 */
#pragma once
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

struct buf {
    char *at; /* NULL while nothing was ever appended; otherwise at[len] is '\0' */
    size_t len;
    size_t cap;
    size_t max;
};

void buf_init(struct buf *buf, size_t max);
void buf_done(struct buf *buf);            /* frees, leaves an empty buffer with the same maximum */
void buf_clear(struct buf *buf);           /* len = 0, keeps the memory */
void buf_cut(struct buf *buf, size_t len); /* back to `len` bytes, at most what there is; keeps the memory */

/* Room for `len` more bytes at buf->at + buf->len; the caller writes them and adds to buf->len. */
int buf_reserve(struct buf *buf, size_t len, struct error *err);
int buf_append(struct buf *buf, const void *bytes, size_t len, struct error *err);
int buf_append_text(struct buf *buf, struct text text, struct error *err);
__attribute__((format(printf, 3, 4))) int buf_printf(struct buf *buf, struct error *err, const char *fmt, ...);

static inline struct text buf_text(const struct buf *buf)
{
    return (struct text){ buf->at, buf->len };
}

#define auto_buf __attribute__((cleanup(buf_done)))
