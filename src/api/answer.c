/*
 * answer: writes JSON by hand, because the answers are few and flat and the largest part of them, the results, is
 * JSON already: a worker encoded it once, and it is copied here rather than parsed and printed again.
 */
#include "api/answer.h"

#include "base/clock.h"
#include "base/json_write.h"
#include "queue/queue.h"

unsigned answer_status(enum error_kind kind)
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
    case ERROR_SETUP:
    case ERROR_BUG:
        return 500;
    }
    return 500;
}

const char *answer_code(unsigned status)
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
    case 417:
        return "expectation_failed";
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

const char *answer_message(const struct error *err)
{
    switch (err->kind) {
    case ERROR_REQUEST:
    case ERROR_MISSING:
    case ERROR_BUSY:
        return err->text;
    case ERROR_STORE:
        return "the store does not answer; try again in a moment";
    case ERROR_NONE:
    case ERROR_SANDBOX:
    case ERROR_SETUP:
    case ERROR_BUG:
        return "internal error; the server's log tells why";
    }
    return "internal error; the server's log tells why";
}

int answer_error(const char *code, const char *message, const char *field, struct buf *out, struct error *err)
{
    if (buf_printf(out, err, "{\"error\":{\"code\":\"%s\",\"message\":", code) < 0 ||
        json_write_string(out, text_of(message), NULL, err) < 0 || buf_printf(out, err, ",\"field\":") < 0)
        return -1;
    if (json_write_string_or_null(out, text_of(field), NULL, err) < 0)
        return -1;
    return buf_printf(out, err, "}}");
}

int answer_queued(const char *token, struct buf *out, struct error *err)
{
    return buf_printf(out, err, "{\"token\":\"%s\",\"status\":\"Queued\",\"results\":null}", token);
}

int answer_state(const char *token, enum submission_state state, struct buf *out, struct error *err)
{
    return buf_printf(out, err, "{\"token\":\"%s\",\"status\":\"%s\"}", token, submission_state_name(state));
}

static int append_time(const char *name, uint64_t wall_ms, struct buf *out, struct error *err)
{
    char iso[CLOCK_ISO_BYTES];

    if (wall_ms == 0)
        return buf_printf(out, err, ",\"%s\":null", name);
    clock_iso(wall_ms, iso);
    return buf_printf(out, err, ",\"%s\":\"%s\"", name, iso);
}

int answer_view(const char *token, const struct store_view *view, struct buf *out, struct error *err)
{
    if (buf_printf(out, err, "{\"token\":\"%s\",\"status\":\"%s\",\"results\":", token,
                   submission_state_name(view->state)) < 0)
        return -1;
    bool has_results = view->state == SUBMISSION_COMPLETED && view->result.len > 0;
    if (buf_append_text(out, has_results ? buf_text(&view->result) : TEXT("null"), err) < 0)
        return -1;
    if (view->state == SUBMISSION_FAILED &&
        (buf_printf(out, err, ",\"error\":") < 0 || json_write_string(out, buf_text(&view->result), NULL, err) < 0))
        return -1;
    if (append_time("created_at", view->created_ms, out, err) < 0 ||
        append_time("started_at", view->started_ms, out, err) < 0 ||
        append_time("finished_at", view->finished_ms, out, err) < 0)
        return -1;
    return buf_printf(out, err, "}");
}

int answer_raw(unsigned status, const char *message, const char *cors_origin, struct buf *out, struct error *err)
{
    auto_buf struct buf body = { 0 };
    const char *reason = status == 408   ? "Request Timeout"
                         : status == 413 ? "Content Too Large"
                                         : "Service Unavailable";

    buf_init(&body, out->max);
    if (answer_error(answer_code(status), message, "", &body, err) < 0 ||
        buf_printf(out, err, "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: application/json\r\n", status,
                   reason) < 0 ||
        (status == 503 && buf_printf(out, err, "Retry-After: 1\r\n") < 0) ||
        (cors_origin[0] != '\0' && buf_printf(out, err, "Access-Control-Allow-Origin: %s\r\n", cors_origin) < 0))
        return -1;
    if (buf_printf(out, err, "Content-Length: %zu\r\n\r\n", body.len) < 0)
        return -1;
    return buf_append_text(out, buf_text(&body), err);
}
