/* buf: grows by doubling, never beyond its maximum. */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>

#define FIRST_CAP 256u

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){ .max = max };
}

void buf_done(struct buf *buf)
{
    free(buf->at);
    buf_init(buf, buf->max);
}

void buf_clear(struct buf *buf)
{
    buf_cut(buf, 0);
}

void buf_cut(struct buf *buf, size_t len)
{
    assert(len <= buf->len);
    buf->len = len;
    if (buf->at != NULL)
        buf->at[len] = '\0';
}

int buf_reserve(struct buf *buf, size_t len, struct error *err)
{
    size_t needed;

    if (len > buf->max || buf->len > buf->max - len)
        return error_set(err, ERROR_REQUEST, 0, "more than the %zu bytes that are allowed here", buf->max);
    /* One byte more, for the NUL at the end. */
    if (__builtin_add_overflow(buf->len + len, (size_t)1, &needed))
        return error_set(err, ERROR_BUSY, 0, "out of memory: cannot allocate %zu bytes", len);
    if (buf->at != NULL && needed <= buf->cap)
        return 0;

    size_t cap = buf->cap < FIRST_CAP ? FIRST_CAP : buf->cap;
    while (cap < needed)
        cap = cap > SIZE_MAX / 2 ? needed : cap * 2;
    if (buf->max < SIZE_MAX && cap > buf->max + 1)
        cap = buf->max + 1;

    char *at = realloc(buf->at, cap);
    if (at == NULL)
        return error_set(err, ERROR_BUSY, 0, "out of memory: cannot allocate %zu bytes", cap);
    buf->at = at;
    buf->cap = cap;
    at[buf->len] = '\0';
    return 0;
}

int buf_append(struct buf *buf, const void *bytes, size_t len, struct error *err)
{
    if (buf_reserve(buf, len, err) < 0)
        return -1;
    if (len > 0)
        memcpy(buf->at + buf->len, bytes, len);
    buf->len += len;
    buf->at[buf->len] = '\0';
    return 0;
}

int buf_append_text(struct buf *buf, struct text text, struct error *err)
{
    return buf_append(buf, text.at, text.len, err);
}

int buf_printf(struct buf *buf, struct error *err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    assert(len >= 0);
    if (buf_reserve(buf, (size_t)len, err) < 0)
        return -1;

    va_start(args, fmt);
    (void)vsnprintf(buf->at + buf->len, (size_t)len + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)len;
    return 0;
}
