/*
 * submission_response: writes JSON by hand, because the bodies are few and flat.  Their largest part, the results, is
 * JSON already: it is copied rather than parsed and printed again.
 */
#include "api/submission_response.h"

#include "base/clock.h"
#include "base/json_write.h"
#include "queue/queue.h"

const char *const *submit_headers(struct submit_headers *headers, const char *token, bool repeated)
{
    (void)snprintf(headers->location, sizeof headers->location, "Location: /submissions/%s", token);
    headers->lines[0] = headers->location;
    headers->lines[1] = repeated ? "Idempotent-Replayed: true" : NULL;
    headers->lines[2] = NULL;
    return headers->lines;
}

int submission_response_queued(const char *token, struct buf *out, struct error *err)
{
    return buf_printf(out, err, "{\"token\":\"%s\",\"status\":\"Queued\",\"results\":null}", token);
}

int submission_response_state(const char *token, enum submission_state state, struct buf *out, struct error *err)
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

size_t submission_response_bytes_max(const struct store_view *view)
{
    return 6 * view->result.len + SUBMISSION_ENVELOPE_BYTES;
}

int submission_response_head(const char *token, const struct store_view *view, struct buf *out, struct error *err)
{
    return buf_printf(out, err, "{\"token\":\"%s\",\"status\":\"%s\",\"results\":", token,
                      submission_state_name(view->state));
}

int submission_response_tail(const struct store_view *view, struct buf *out, struct error *err)
{
    if (view->state == SUBMISSION_FAILED &&
        (buf_printf(out, err, ",\"error\":") < 0 || json_write_string(out, buf_text(&view->result), NULL, err) < 0))
        return -1;
    if (append_time("created_at", view->created_ms, out, err) < 0 ||
        append_time("started_at", view->started_ms, out, err) < 0 ||
        append_time("finished_at", view->finished_ms, out, err) < 0)
        return -1;
    return buf_printf(out, err, "}");
}

int submission_response_view(const char *token, const struct store_view *view, struct buf *out, struct error *err)
{
    if (!view->found)
        return error_set(err, ERROR_MISSING, 0, "no submission %s; it never existed or has expired", token);
    bool has_results = view->state == SUBMISSION_COMPLETED && view->result.len > 0;
    if (submission_response_head(token, view, out, err) < 0 ||
        buf_append_text(out, has_results ? buf_text(&view->result) : TEXT("null"), err) < 0)
        return -1;
    return submission_response_tail(view, out, err);
}
