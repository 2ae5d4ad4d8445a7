/*
 * error_response: writes its JSON by hand, because the body is one flat object.
 */
#include "http/error_response.h"

#include <errno.h>

#include "base/json_write.h"

unsigned error_response_status(enum error_kind kind)
{
    switch (kind) {
    case ERROR_REQUEST:
        return 400;
    case ERROR_MISSING:
        return 404;
    case ERROR_BUSY:
        return 503;
    case ERROR_STORE:
        return 503;
    case ERROR_NONE:
    case ERROR_SANDBOX:
    case ERROR_USAGE:
    case ERROR_SETUP:
    case ERROR_BUG:
        return 500;
    }
    return 500;
}

const char *error_response_code(unsigned status)
{
    switch (status) {
    case 400:
        return "bad_request";
    case 401:
        return "unauthorized";
    case 403:
        return "forbidden";
    case 404:
        return "not_found";
    case 405:
        return "method_not_allowed";
    case 408:
        return "request_timeout";
    case 409:
        return "conflict";
    case 413:
        return "body_too_large";
    case 414:
        return "uri_too_long";
    case 415:
        return "unsupported_media_type";
    case 417:
        return "expectation_failed";
    case 421:
        return "misdirected_request";
    case 426:
        return "upgrade_required";
    case 429:
        return "too_many_requests";
    case 501:
        return "not_implemented";
    case 503:
        return "busy";
    case 505:
        return "version_not_supported";
    default:
        return "internal_error";
    }
}

const char *error_response_message(const struct error *err)
{
    switch (err->kind) {
    case ERROR_REQUEST:
    case ERROR_MISSING:
    case ERROR_BUSY:
        return err->text;
    case ERROR_STORE:
        if (err->os == ENOSPC)
            return "the disk of the server is full; nothing is accepted until there is space again";
        return "the store is unavailable; try again in a moment";
    case ERROR_NONE:
    case ERROR_SANDBOX:
    case ERROR_USAGE:
    case ERROR_SETUP:
    case ERROR_BUG:
        return "internal error; the server's log has the cause";
    }
    return "internal error; the server's log has the cause";
}

int error_response_body(const char *code, const char *message, const char *field, struct buf *out, struct error *err)
{
    if (buf_printf(out, err, "{\"error\":{\"code\":\"%s\",\"message\":", code) < 0 ||
        json_write_string(out, text_of(message), NULL, err) < 0 || buf_printf(out, err, ",\"field\":") < 0 ||
        json_write_string_or_null(out, text_of(field), NULL, err) < 0)
        return -1;
    return buf_printf(out, err, "}}");
}

int error_response_raw(unsigned status, const char *message, const char *cors_origin, struct buf *out,
                       struct error *err)
{
    auto_buf struct buf body = { 0 };
    const char *reason = status == 408   ? "Request Timeout"
                         : status == 413 ? "Content Too Large"
                                         : "Service Unavailable";

    buf_init(&body, out->max);
    if (error_response_body(error_response_code(status), message, "", &body, err) < 0 ||
        buf_printf(out, err, "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: application/json\r\n", status,
                   reason) < 0 ||
        (status == 503 && buf_printf(out, err, "Retry-After: 1\r\n") < 0) ||
        (cors_origin[0] != '\0' &&
         buf_printf(out, err,
                    "Access-Control-Allow-Origin: %s\r\nAccess-Control-Expose-Headers: " EXPOSED_HEADERS "\r\n",
                    cors_origin) < 0) ||
        buf_printf(out, err, "Content-Length: %zu\r\n\r\n", body.len) < 0)
        return -1;
    return buf_append_text(out, buf_text(&body), err);
}
