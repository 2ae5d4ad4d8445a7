/*
 * status: GET and DELETE /submissions/{token}.
 */
#include <errno.h>
#include <stdlib.h>

#include "api/routes.h"
#include "api/submission_response.h"
#include "config/config.h"

struct status_request {
    struct api *api;
    struct exchange *exchange;
    char token[TOKEN_BYTES];
};

/* "12" or "0.25": seconds.  Places beyond the sixth are checked and dropped. */
static int parse_seconds_us(struct text text, uint64_t *ret_us)
{
    uint64_t whole, us = 0;
    const char *point = text.len > 0 ? memchr(text.at, '.', text.len) : NULL;
    size_t whole_len = point != NULL ? (size_t)(point - text.at) : text.len;
    size_t places_len = text.len - whole_len;

    if (text_parse_u64((struct text){ text.at, whole_len }, &whole) < 0 || whole > UINT32_MAX || places_len == 1)
        return -1;
    for (size_t i = 1; i < places_len; i++) {
        if (point[i] < '0' || point[i] > '9')
            return -1;
        if (i <= 6)
            us = us * 10 + (uint64_t)(point[i] - '0');
    }
    for (size_t i = places_len > 0 ? places_len : 1; i <= 6; i++)
        us *= 10;
    *ret_us = whole * 1000000 + us;
    return 0;
}

int status_read_wait(const struct exchange *exchange, const struct config *config, uint64_t *ret_us, struct error *err)
{
    struct text text;
    uint64_t wait_us;

    if (!exchange_query(exchange, "wait", &text)) {
        *ret_us = 0;
        return 0;
    }
    if (parse_seconds_us(text, &wait_us) < 0 || wait_us > config->wait_s_max * 1000000u)
        return error_field(err, "wait", "expected a number of seconds from 0 to %llu, got \"%.*s\"",
                           (unsigned long long)config->wait_s_max, (int)(text.len < 40 ? text.len : 40), text.at);
    *ret_us = wait_us;
    return 0;
}

static struct status_request *request_new(struct api *api, struct exchange *exchange, struct error *err)
{
    struct text token = exchange_segment(exchange);

    if (!token_is_valid(token)) {
        error_field(err, "token", "expected the 26 characters of a token, got \"%.*s\"",
                    (int)(token.len < 40 ? token.len : 40), token.at);
        return NULL;
    }
    struct status_request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        error_set(err, ERROR_BUSY, ENOMEM, "read a submission");
        return NULL;
    }
    request->api = api;
    request->exchange = exchange;
    memcpy(request->token, token.at, TOKEN_LEN);
    return request;
}

static void request_fail(struct status_request *request, const struct error *err)
{
    exchange_respond_error(request->exchange, err);
    free(request);
}

/* ---- GET ------------------------------------------------------------------------------------------------------ */

/* GET without ?wait=, and the second half of DELETE. */
static void on_got(void *context, struct store_view *view, const struct error *err)
{
    struct status_request *request = context;
    struct error own_err = { 0 };
    struct buf body;

    if (view->left_out > 0) {
        large_results_respond(request->api->large_results, request->exchange, request->token, LONG_POLL_STATUS, false,
                              view->left_out);
        store_view_done(view);
        free(request);
        return;
    }
    buf_init(&body, submission_response_bytes_max(view));
    if (err == NULL && submission_response_view(request->token, view, &body, &own_err) < 0)
        err = &own_err;
    store_view_done(view);
    exchange_respond_result(request->exchange, &body, err);
    free(request);
}

void status_show(struct exchange *exchange, void *context)
{
    struct api *api = context;
    struct error err = { 0 };
    uint64_t wait_us = 0;
    struct status_request *request = request_new(api, exchange, &err);

    if (request == NULL) {
        exchange_respond_error(exchange, &err);
        return;
    }
    if (status_read_wait(exchange, api->config, &wait_us, &err) < 0) {
        request_fail(request, &err);
        return;
    }
    if (wait_us == 0) {
        if (async_store_get(api->async_store, request->token, on_got, request, &err) < 0)
            request_fail(request, &err);
        return;
    }
    struct long_poll *long_poll =
        long_poll_new(api->long_polls, request->token, exchange, LONG_POLL_STATUS, wait_us, &err);
    if (long_poll == NULL) {
        request_fail(request, &err);
        return;
    }
    free(request);
    long_poll_start(long_poll, LONG_POLL_EXISTS);
}

/* ---- DELETE --------------------------------------------------------------------------------------------------- */

/* The view shows whether it was cancelled now, had ended before, or never existed. */
static void on_cancelled(void *context, bool cancelled, const struct error *err)
{
    struct status_request *request = context;
    struct error own_err = { 0 };

    (void)cancelled;
    if (err != NULL)
        request_fail(request, err);
    else if (async_store_get(request->api->async_store, request->token, on_got, request, &own_err) < 0)
        request_fail(request, &own_err);
}

void status_cancel(struct exchange *exchange, void *context)
{
    struct api *api = context;
    struct error err = { 0 };
    struct status_request *request = request_new(api, exchange, &err);

    if (request == NULL)
        exchange_respond_error(exchange, &err);
    else if (async_store_cancel(api->async_store, request->token, on_cancelled, request, &err) < 0)
        request_fail(request, &err);
}
