/* json_write: escapes and appends. */
#include "base/json_write.h"

#include <inttypes.h>
#include <string.h>

#include "base/base64.h"
#include "base/utf8.h"

/* Bytes that need no escape in a JSON string (RFC 8259, section 7).  DEL is legal. */
static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

static int write_escape(struct buf *out, unsigned char byte, struct error *err)
{
    switch (byte) {
    case '"':
        return buf_append(out, "\\\"", 2, err);
    case '\\':
        return buf_append(out, "\\\\", 2, err);
    case '\n':
        return buf_append(out, "\\n", 2, err);
    case '\r':
        return buf_append(out, "\\r", 2, err);
    case '\t':
        return buf_append(out, "\\t", 2, err);
    }
    return buf_printf(out, err, "\\u%04x", byte);
}

int json_write_string(struct buf *out, struct text text, bool *ret_replaced, struct error *err)
{
    const unsigned char *bytes = (const unsigned char *)text.at;
    size_t at = 0;
    bool replaced = false;

    if (buf_append(out, "\"", 1, err) < 0)
        return -1;
    while (at < text.len) {
        size_t start = at, bad = 0;
        while (at < text.len) {
            size_t step = is_plain(bytes[at]) ? 1 : bytes[at] < 0x80 ? 0 : utf8_step(bytes + at, text.len - at, &bad);
            if (step == 0)
                break;
            at += step;
        }
        if (buf_append(out, text.at + start, at - start, err) < 0)
            return -1;
        if (bad > 0 && buf_append(out, "\xef\xbf\xbd", 3, err) < 0)
            return -1;
        if (bad == 0 && at < text.len && write_escape(out, bytes[at++], err) < 0)
            return -1;
        replaced |= bad > 0;
        at += bad;
    }
    if (ret_replaced != NULL)
        *ret_replaced = replaced;
    return buf_append(out, "\"", 1, err);
}

size_t json_string_bytes(struct text text)
{
    const unsigned char *bytes = (const unsigned char *)text.at;
    size_t len = 2, at = 0;

    while (at < text.len) {
        size_t bad = 0, step = bytes[at] < 0x80 ? 1 : utf8_step(bytes + at, text.len - at, &bad);
        if (bytes[at] >= 0x80)
            len += bad > 0 ? 3 : step;
        else if (is_plain(bytes[at]))
            len++;
        else
            len += strchr("\"\\\n\r\t", bytes[at]) != NULL && bytes[at] != '\0' ? 2 : 6;
        at += bad > 0 ? bad : step;
    }
    return len;
}

int json_write_string_or_null(struct buf *out, struct text text, bool *ret_replaced, struct error *err)
{
    if (text.len > 0)
        return json_write_string(out, text, ret_replaced, err);
    if (ret_replaced != NULL)
        *ret_replaced = false;
    return buf_append(out, "null", 4, err);
}

int json_write_base64(struct buf *out, struct text bytes, struct error *err)
{
    if (buf_append(out, "\"", 1, err) < 0 || base64_encode(bytes, out, err) < 0)
        return -1;
    return buf_append(out, "\"", 1, err);
}

int json_write_seconds(struct buf *out, uint64_t us, struct error *err)
{
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);

    while (digits[len - 1] == '0' && digits[len - 2] != '.')
        len--;
    return buf_append(out, digits, (size_t)len, err);
}
