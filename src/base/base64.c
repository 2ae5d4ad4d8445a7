/*
 * base64: nettle's incremental coder between a text and a buf.
 * Decoding uses a small stack buffer, because the size of the result is known only afterwards (blanks, padding).  So a
 * result that just fits the buffer's maximum is accepted.
 */
#include "base/base64.h"

#include <nettle/base64.h>

#define PIECE_BYTES 4096u

int base64_encode(struct text bytes, struct buf *out, struct error *err)
{
    if (bytes.len > SIZE_MAX / 2)
        return error_set(err, ERROR_REQUEST, 0, "%zu bytes are too many for base64", bytes.len);
    size_t len = BASE64_ENCODE_RAW_LENGTH(bytes.len);

    if (buf_reserve(out, len, err) < 0)
        return -1;
    if (len > 0)
        base64_encode_raw(out->at + out->len, bytes.len, (const uint8_t *)bytes.at);
    out->len += len;
    out->at[out->len] = '\0';
    return 0;
}

int base64_decode(struct text base64, struct buf *out, struct error *err)
{
    struct base64_decode_ctx decoder;
    uint8_t piece[BASE64_DECODE_LENGTH(PIECE_BYTES)];
    size_t before = out->len;

    if (buf_reserve(out, 0, err) < 0)
        return -1;
    base64_decode_init(&decoder);
    for (size_t at = 0; at < base64.len;) {
        size_t len = base64.len - at < PIECE_BYTES ? base64.len - at : PIECE_BYTES;
        size_t decoded = sizeof piece;
        if (!base64_decode_update(&decoder, &decoded, piece, len, base64.at + at)) {
            buf_cut(out, before);
            return error_set(err, ERROR_REQUEST, 0, "not base64 (wrong character near byte %zu of %zu)", at,
                             base64.len);
        }
        if (buf_append(out, piece, decoded, err) < 0) {
            buf_cut(out, before);
            return -1;
        }
        at += len;
    }
    if (!base64_decode_final(&decoder)) {
        buf_cut(out, before);
        return error_set(err, ERROR_REQUEST, 0, "not base64 (it ends in the middle, or its padding is missing)");
    }
    return 0;
}
