/*
 * dead_letters: GET /dead, GET /dead/{token} and POST /dead/{token}/retry, for operators.
 */
#include <errno.h>
#include <stdlib.h>

#include "api/routes.h"
#include "api/submission_response.h"
#include "base/clock.h"
#include "base/json_write.h"

#define PAGE_DEFAULT 50
#define PAGE_BYTES_MAX (1u << 20)

struct dead_request {
    struct api *api;
    struct exchange *exchange;
    char token[TOKEN_BYTES]; /* of the dead letter; for a list, the last one of the previous page */
    uint64_t before_ms;      /* when that one died */
    size_t max, len;
    bool found;
    struct store_dead dead[]; /* `max` of them */
};

static void request_free(struct dead_request *request)
{
    for (size_t i = 0; i < request->len; i++)
        store_dead_done(&request->dead[i]);
    free(request);
}

static void request_end(struct dead_request *request, struct buf *body, const struct error *err)
{
    exchange_respond_result(request->exchange, body, err);
    request_free(request);
}

static struct dead_request *request_new(struct api *api, struct exchange *exchange, size_t max, struct error *err)
{
    struct dead_request *request = calloc(1, sizeof *request + max * sizeof request->dead[0]);
    if (request == NULL) {
        error_set(err, ERROR_BUSY, ENOMEM, "read dead letters");
        return NULL;
    }
    request->api = api;
    request->exchange = exchange;
    request->max = max;
    return request;
}

static int write_dead(const struct store_dead *dead, struct buf *out, struct error *err)
{
    char created[CLOCK_ISO_BYTES], died[CLOCK_ISO_BYTES];

    clock_iso(dead->created_ms, created);
    clock_iso(dead->died_ms, died);
    if (buf_printf(out, err, "{\"token\":\"%s\",\"language\":", dead->token) < 0 ||
        json_write_string(out, queue_language(dead->queue), NULL, err) < 0 ||
        buf_printf(out, err, ",\"client\":") < 0 ||
        json_write_string_or_null(out, text_of(dead->client), NULL, err) < 0 ||
        buf_printf(out, err, ",\"priority\":\"%s\",\"attempts\":%u,\"created_at\":\"%s\",\"died_at\":\"%s\"",
                   submission_priority_name(dead->priority), dead->attempt, created, died) < 0 ||
        buf_printf(out, err, ",\"reason\":") < 0)
        return -1;
    return json_write_string(out, text_of(dead->reason), NULL, err);
}

/* ---- GET /dead ------------------------------------------------------------------------------------------------- */

static int read_list(struct store *store, void *context, struct error *err)
{
    struct dead_request *request = context;
    return store_dead_list(store, request->before_ms, request->token, request->dead, request->max, &request->len, err);
}

static int write_list(const struct dead_request *request, struct buf *out, struct error *err)
{
    if (buf_printf(out, err, "{\"dead\":[") < 0)
        return -1;
    for (size_t i = 0; i < request->len; i++)
        if ((i > 0 && buf_append(out, ",", 1, err) < 0) || write_dead(&request->dead[i], out, err) < 0 ||
            buf_append(out, "}", 1, err) < 0)
            return -1;
    if (request->len < request->max)
        return buf_printf(out, err, "],\"next\":null}");
    const struct store_dead *last = &request->dead[request->len - 1];
    return buf_printf(out, err, "],\"next\":\"%llu-%s\"}", (unsigned long long)last->died_ms, last->token);
}

static void on_list(void *context, const struct error *err)
{
    struct dead_request *request = context;
    struct error own_err = { 0 };
    struct buf body;

    buf_init(&body, PAGE_BYTES_MAX);
    if (err == NULL && write_list(request, &body, &own_err) < 0)
        err = &own_err;
    request_end(request, &body, err);
}

/* "MILLISECONDS-TOKEN", the value of `next` in the previous page. */
static int read_before(struct dead_request *request, struct text text, struct error *err)
{
    const char *dash = text.len > 0 ? memchr(text.at, '-', text.len) : NULL;
    size_t len = dash != NULL ? (size_t)(dash - text.at) : 0;
    struct text token = { dash != NULL ? dash + 1 : "", dash != NULL ? text.len - len - 1 : 0 };

    if (text_parse_u64((struct text){ text.at, len }, &request->before_ms) < 0 || request->before_ms == 0 ||
        request->before_ms > INT64_MAX || !token_is_valid(token))
        return error_field(err, "before", "expected the value of `next` in another page");
    memcpy(request->token, token.at, TOKEN_LEN);
    return 0;
}

void dead_letters_list(struct exchange *exchange, void *context)
{
    struct api *api = context;
    struct text text;
    struct error err = { 0 };
    uint64_t max = PAGE_DEFAULT;

    if (!auth_check_operator(exchange, api))
        return;
    if (exchange_query(exchange, "limit", &text) &&
        (text_parse_u64(text, &max) < 0 || max < 1 || max > STORE_DEAD_PAGE_MAX)) {
        error_field(&err, "limit", "expected a number from 1 to %d", STORE_DEAD_PAGE_MAX);
        exchange_respond_error(exchange, &err);
        return;
    }
    struct dead_request *request = request_new(api, exchange, max, &err);
    bool failed = request == NULL ||
                  (exchange_query(exchange, "before", &text) && read_before(request, text, &err) < 0) ||
                  async_store_read(api->async_store, read_list, on_list, request, &err) < 0;
    if (failed) {
        exchange_respond_error(exchange, &err);
        free(request);
    }
}

/* ---- GET /dead/{token} ----------------------------------------------------------------------------------------- */

static int read_one(struct store *store, void *context, struct error *err)
{
    struct dead_request *request = context;
    if (store_dead_get(store, request->token, &request->dead[0], &request->found, err) < 0)
        return -1;
    request->len = request->found;
    return 0;
}

/* The store's copy of the submission is JSON already, and becomes a piece of the body. */
static int respond_with_one(struct dead_request *request, struct buf *head, struct buf *payload, struct error *err)
{
    payload->max = payload->len + 1;
    if (write_dead(&request->dead[0], head, err) < 0 || buf_printf(head, err, ",\"submission\":") < 0 ||
        buf_append(payload, "}", 1, err) < 0)
        return -1;
    struct shared_body *body = shared_body_new(request->exchange, head, payload);
    if (body == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "read a dead letter");
    exchange_respond_shared(request->exchange, 200, "application/json", body, 0, shared_body_len(body), NULL);
    shared_body_release(body);
    return 0;
}

static void on_one(void *context, const struct error *err)
{
    struct dead_request *request = context;
    struct buf *payload = &request->dead[0].payload;
    struct error own_err = { 0 };
    struct buf head;

    buf_init(&head, PAGE_BYTES_MAX);
    if (err == NULL && !request->found)
        (void)error_set(&own_err, ERROR_MISSING, 0, "no dead letter %s", request->token);
    else if (err == NULL && !exchange_answer_fits(request->exchange, payload->cap))
        (void)error_set(&own_err, ERROR_BUSY, 0, "too many large responses are being sent; try again in a moment");
    if (err == NULL && own_err.kind == ERROR_NONE)
        (void)respond_with_one(request, &head, payload, &own_err);
    if (err != NULL || own_err.kind != ERROR_NONE) {
        request_end(request, &head, err != NULL ? err : &own_err);
        return;
    }
    buf_done(&head);
    request_free(request);
}

static struct dead_request *request_for_token(struct api *api, struct exchange *exchange)
{
    struct text token = exchange_segment(exchange);
    struct error err = { 0 };
    struct dead_request *request = NULL;

    if (!auth_check_operator(exchange, api))
        return NULL;
    if (!token_is_valid(token))
        error_field(&err, "token", "expected the 26 characters of a token");
    else
        request = request_new(api, exchange, 1, &err);
    if (request == NULL) {
        exchange_respond_error(exchange, &err);
        return NULL;
    }
    memcpy(request->token, token.at, TOKEN_LEN);
    return request;
}

void dead_letters_show(struct exchange *exchange, void *context)
{
    struct api *api = context;
    struct error err = { 0 };
    struct dead_request *request = request_for_token(api, exchange);

    if (request != NULL && async_store_read(api->async_store, read_one, on_one, request, &err) < 0) {
        exchange_respond_error(exchange, &err);
        free(request);
    }
}

/* ---- POST /dead/{token}/retry ---------------------------------------------------------------------------------- */

static void on_view(void *context, struct store_view *view, const struct error *err)
{
    struct dead_request *request = context;
    struct error own_err = { 0 };
    struct buf body;

    buf_init(&body, submission_response_bytes_max(view));
    if (err == NULL && submission_response_view(request->token, view, &body, &own_err) < 0)
        err = &own_err;
    store_view_done(view);
    request_end(request, &body, err);
}

static void on_retried(void *context, bool retried, const struct error *err)
{
    struct dead_request *request = context;
    struct error own_err = { 0 };
    struct buf none = { 0 };

    if (err == NULL && !retried) {
        (void)error_set(&own_err, ERROR_MISSING, 0, "no dead letter %s", request->token);
        err = &own_err;
    }
    if (err == NULL && async_store_get(request->api->async_store, request->token, on_view, request, &own_err) == 0)
        return;
    request_end(request, &none, err != NULL ? err : &own_err);
}

void dead_letters_retry(struct exchange *exchange, void *context)
{
    struct api *api = context;
    struct error err = { 0 };
    struct dead_request *request = request_for_token(api, exchange);

    if (request != NULL && async_store_retry(api->async_store, request->token, on_retried, request, &err) < 0) {
        exchange_respond_error(exchange, &err);
        free(request);
    }
}
