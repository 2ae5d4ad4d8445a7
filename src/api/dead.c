/* dead: GET /dead, GET /dead/{token} and POST /dead/{token}/retry: dead letters, for operators. */
#include <errno.h>
#include <stdlib.h>

#include "api/answer.h"
#include "api/routes.h"
#include "base/clock.h"
#include "base/json_write.h"

#define PAGE_DEFAULT 50
#define PAGE_BYTES_MAX (1u << 20)

struct dead_order {
    struct api *api;
    struct exchange *exchange;
    char token[TOKEN_BYTES]; /* which; of a list: before which */
    uint64_t before_ms;
    size_t max, len;
    bool found;
    struct store_dead dead[]; /* `max` of them */
};

static void order_end(struct dead_order *order, struct buf *body, const struct error *err)
{
    if (err != NULL) {
        buf_done(body);
        exchange_answer_error(order->exchange, err);
    } else {
        exchange_answer_json(order->exchange, 200, body);
    }
    for (size_t i = 0; i < order->len; i++)
        store_dead_done(&order->dead[i]);
    free(order);
}

static struct dead_order *order_new(struct api *api, struct exchange *exchange, size_t max, struct error *err)
{
    struct dead_order *order = calloc(1, sizeof *order + max * sizeof order->dead[0]);
    if (order == NULL) {
        error_set(err, ERROR_BUSY, ENOMEM, "look up dead letters");
        return NULL;
    }
    order->api = api;
    order->exchange = exchange;
    order->max = max;
    return order;
}

static int write_dead(const struct store_dead *dead, struct buf *out, struct error *err)
{
    char created[CLOCK_ISO_BYTES], died[CLOCK_ISO_BYTES];

    clock_iso(dead->created_ms, created);
    clock_iso(dead->died_ms, died);
    if (buf_printf(out, err, "{\"token\":\"%s\",\"language\":", dead->token) < 0 ||
        json_write_string(out, text_of(dead->lane), NULL, err) < 0 || buf_printf(out, err, ",\"client\":") < 0 ||
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
    struct dead_order *order = context;
    return store_dead_list(store, order->before_ms, order->token, order->dead, order->max, &order->len, err);
}

static int write_list(const struct dead_order *order, struct buf *out, struct error *err)
{
    if (buf_printf(out, err, "{\"dead\":[") < 0)
        return -1;
    for (size_t i = 0; i < order->len; i++)
        if ((i > 0 && buf_append(out, ",", 1, err) < 0) || write_dead(&order->dead[i], out, err) < 0 ||
            buf_append(out, "}", 1, err) < 0)
            return -1;
    if (order->len < order->max)
        return buf_printf(out, err, "],\"next\":null}");
    const struct store_dead *last = &order->dead[order->len - 1];
    return buf_printf(out, err, "],\"next\":\"%llu-%s\"}", (unsigned long long)last->died_ms, last->token);
}

static void on_list(void *context, const struct error *err)
{
    struct dead_order *order = context;
    struct error own = { 0 };
    struct buf body;

    buf_init(&body, PAGE_BYTES_MAX);
    if (err == NULL && write_list(order, &body, &own) < 0)
        err = &own;
    order_end(order, &body, err);
}

/* "MILLISECONDS-TOKEN", as `next` of the page before gives it. */
static int read_before(struct dead_order *order, struct text text, struct error *err)
{
    const char *dash = text.len > 0 ? memchr(text.at, '-', text.len) : NULL;
    size_t len = dash != NULL ? (size_t)(dash - text.at) : 0;
    struct text token = { dash != NULL ? dash + 1 : "", dash != NULL ? text.len - len - 1 : 0 };

    if (text_parse_u64((struct text){ text.at, len }, &order->before_ms) < 0 || order->before_ms == 0 ||
        order->before_ms > INT64_MAX || !token_is_valid(token))
        return error_field(err, "before", "expected what `next` of another page says");
    memcpy(order->token, token.at, TOKEN_LEN);
    return 0;
}

void dead_list(struct exchange *exchange, void *context)
{
    struct api *api = context;
    struct text text;
    struct error err = { 0 };
    uint64_t max = PAGE_DEFAULT;

    if (!admit_operator(exchange, api))
        return;
    if (exchange_query(exchange, "limit", &text) &&
        (text_parse_u64(text, &max) < 0 || max < 1 || max > STORE_DEAD_PAGE_MAX)) {
        error_field(&err, "limit", "expected a number from 1 to %d", STORE_DEAD_PAGE_MAX);
        exchange_answer_error(exchange, &err);
        return;
    }
    struct dead_order *order = order_new(api, exchange, max, &err);
    bool failed = order == NULL || (exchange_query(exchange, "before", &text) && read_before(order, text, &err) < 0) ||
                  desk_read(api->desk, read_list, on_list, order, &err) < 0;
    if (failed) {
        exchange_answer_error(exchange, &err);
        free(order);
    }
}

/* ---- GET /dead/{token} ----------------------------------------------------------------------------------------- */

static int read_one(struct store *store, void *context, struct error *err)
{
    struct dead_order *order = context;
    if (store_dead_get(store, order->token, &order->dead[0], &order->found, err) < 0)
        return -1;
    order->len = order->found;
    return 0;
}

static void on_one(void *context, const struct error *err)
{
    struct dead_order *order = context;
    struct error own = { 0 };
    struct buf body;

    buf_init(&body, PAGE_BYTES_MAX + order->dead[0].payload.len);
    if (err == NULL && !order->found) {
        (void)error_set(&own, ERROR_MISSING, 0, "no dead letter %s", order->token);
        err = &own;
    }
    /* The submission is JSON already, as it waited in the store. */
    if (err == NULL &&
        (write_dead(&order->dead[0], &body, &own) < 0 || buf_printf(&body, &own, ",\"submission\":") < 0 ||
         buf_append_text(&body, buf_text(&order->dead[0].payload), &own) < 0 || buf_append(&body, "}", 1, &own) < 0))
        err = &own;
    order_end(order, &body, err);
}

static struct dead_order *order_of_token(struct api *api, struct exchange *exchange)
{
    struct text token = exchange_segment(exchange);
    struct error err = { 0 };
    struct dead_order *order = NULL;

    if (!admit_operator(exchange, api))
        return NULL;
    if (!token_is_valid(token))
        error_field(&err, "token", "expected the 26 characters of a token");
    else
        order = order_new(api, exchange, 1, &err);
    if (order == NULL) {
        exchange_answer_error(exchange, &err);
        return NULL;
    }
    memcpy(order->token, token.at, TOKEN_LEN);
    return order;
}

void dead_show(struct exchange *exchange, void *context)
{
    struct api *api = context;
    struct error err = { 0 };
    struct dead_order *order = order_of_token(api, exchange);

    if (order != NULL && desk_read(api->desk, read_one, on_one, order, &err) < 0) {
        exchange_answer_error(exchange, &err);
        free(order);
    }
}

/* ---- POST /dead/{token}/retry ---------------------------------------------------------------------------------- */

static void on_view(void *context, struct store_view *view, const struct error *err)
{
    struct dead_order *order = context;
    struct error own = { 0 };
    struct buf body;

    buf_init(&body, 6 * view->result.len + 4096);
    if (err == NULL && !view->found) {
        (void)error_set(&own, ERROR_MISSING, 0, "no submission %s, or no longer", order->token);
        err = &own;
    }
    if (err == NULL && answer_view(order->token, view, &body, &own) < 0)
        err = &own;
    store_view_done(view);
    order_end(order, &body, err);
}

static void on_retried(void *context, bool retried, const struct error *err)
{
    struct dead_order *order = context;
    struct error own = { 0 };
    struct buf none = { 0 };

    if (err == NULL && !retried) {
        (void)error_set(&own, ERROR_MISSING, 0, "no dead letter %s", order->token);
        err = &own;
    }
    if (err == NULL && desk_get(order->api->desk, order->token, on_view, order, &own) == 0)
        return;
    order_end(order, &none, err != NULL ? err : &own);
}

void dead_retry(struct exchange *exchange, void *context)
{
    struct api *api = context;
    struct error err = { 0 };
    struct dead_order *order = order_of_token(api, exchange);

    if (order != NULL && desk_retry(api->desk, order->token, on_retried, order, &err) < 0) {
        exchange_answer_error(exchange, &err);
        free(order);
    }
}
