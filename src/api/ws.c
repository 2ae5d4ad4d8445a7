/*
 * ws: a client receives the states only of submissions whose token it names, because knowing a token is the right to
 * read its results.  A stream of all tokens would give that right to everybody.
 *
 * A subscription is registered first and then read, so no change is missed.  As a safety net it is read again every few
 * seconds.  A read may be older than a change that arrived meanwhile, so a read never moves a state backwards.  The end
 * of the submission also ends the subscription.
 *
 * Threads: ws_connect runs on the HTTP thread, on_changed and on_got on threads of the store, everything else on the
 * WebSocket thread.
 */
#include "api/ws.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "api/routes.h"
#include "api/submission_response.h"
#include "api/subscribe_json.h"
#include "base/clock.h"
#include "http/websocket.h"

#define TOKENS_MAX 1000          /* subscriptions of one client */
#define SUBSCRIPTIONS_MAX 100000 /* of all clients; one takes 200 bytes */
#define SAFETY_US 5000000u
#define SAFETY_EACH_US 1000u /* added for each subscription of the server */

struct ws_server {
    struct api *api;
    struct websocket_server *sockets;
    size_t subscriptions_len; /* WebSocket thread only */
};

struct subscription {
    struct subscriber subscriber; /* first */
    struct ws_server *server;
    uint64_t websocket_id;
    int sent_state; /* the last state sent to the client; -1: none */
    uint64_t read_at_us;
    struct subscription *next;
};

struct ws_client {
    struct ws_server *server;
    struct websocket *websocket; /* NULL until the connection is open */
    struct subscription *subscriptions;
    size_t subscriptions_len;
    size_t tokens_len;
    char tokens[][TOKEN_BYTES]; /* of the request's ?token=, subscribed to when the connection opens */
};

struct state_event {
    struct websocket_event event; /* first */
    char token[TOKEN_BYTES];
    enum submission_state state;
    bool was_read, found;
};

/* ---- called by the store's threads ---------------------------------------------------------------------------- */

static void post(struct ws_server *server, const struct state_event *event)
{
    struct state_event *copy = malloc(sizeof *copy);

    if (copy == NULL)
        return; /* the safety net reads again */
    *copy = *event;
    websocket_post(server->sockets, &copy->event);
}

static void on_changed(struct subscriber *subscriber, enum submission_state state)
{
    struct subscription *subscription = (struct subscription *)subscriber;
    struct state_event event = { .event.websocket_id = subscription->websocket_id, .state = state, .found = true };

    memcpy(event.token, subscriber->token, TOKEN_BYTES);
    post(subscription->server, &event);
}

struct read_request {
    struct ws_server *server;
    uint64_t websocket_id;
    char token[TOKEN_BYTES];
};

static void on_got(void *context, struct store_view *view, const struct error *err)
{
    struct read_request *request = context;
    struct state_event event = { .event.websocket_id = request->websocket_id, .was_read = true };

    if (err == NULL) {
        memcpy(event.token, request->token, TOKEN_BYTES);
        event.state = view->state;
        event.found = view->found;
        post(request->server, &event);
    }
    store_view_done(view);
    free(request);
}

/* ---- subscriptions -------------------------------------------------------------------------------------------- */

static void subscription_read(struct subscription *subscription)
{
    struct ws_server *server = subscription->server;
    struct read_request *request = malloc(sizeof *request);
    struct error err;

    subscription->read_at_us = clock_mono_us() + SAFETY_US + server->subscriptions_len * SAFETY_EACH_US;
    if (request == NULL)
        return;
    request->server = server;
    request->websocket_id = subscription->websocket_id;
    memcpy(request->token, subscription->subscriber.token, TOKEN_BYTES);
    if (async_store_get(server->api->async_store, request->token, on_got, request, &err) < 0)
        free(request);
}

static struct subscription **subscription_find(struct ws_client *client, const char *token)
{
    struct subscription **at = &client->subscriptions;

    while (*at != NULL && memcmp((*at)->subscriber.token, token, TOKEN_LEN) != 0)
        at = &(*at)->next;
    return at;
}

static void subscription_end(struct ws_client *client, struct subscription **at)
{
    struct subscription *ended = *at;

    *at = ended->next;
    subscriptions_remove(client->server->api->subscriptions, &ended->subscriber);
    client->subscriptions_len--;
    client->server->subscriptions_len--;
    free(ended);
}

/* A subscribe_token.  False: the client has too many subscriptions. */
static bool subscribe(void *context, const char token[TOKEN_BYTES])
{
    struct ws_client *client = context;

    if (*subscription_find(client, token) != NULL)
        return true;
    if (client->server->subscriptions_len >= SUBSCRIPTIONS_MAX) {
        websocket_close(client->websocket, WEBSOCKET_TRY_AGAIN_LATER, "the server has too many subscriptions");
        return false;
    }
    struct subscription *subscription = NULL;
    if (client->subscriptions_len < TOKENS_MAX)
        subscription = calloc(1, sizeof *subscription);
    if (subscription == NULL) {
        websocket_close(client->websocket, WEBSOCKET_POLICY_VIOLATION, "too many tokens");
        return false;
    }
    memcpy(subscription->subscriber.token, token, TOKEN_LEN);
    subscription->subscriber.changed = on_changed;
    subscription->server = client->server;
    subscription->websocket_id = websocket_id(client->websocket);
    subscription->sent_state = -1;
    subscription->next = client->subscriptions;
    client->subscriptions = subscription;
    client->subscriptions_len++;
    client->server->subscriptions_len++;
    subscriptions_add(client->server->api->subscriptions, &subscription->subscriber);
    subscription_read(subscription);
    return true;
}

/* ---- callbacks of the WebSocket server ------------------------------------------------------------------------ */

static void on_opened(void *state, struct websocket *websocket)
{
    struct ws_client *client = state;

    client->websocket = websocket;
    for (size_t i = 0; i < client->tokens_len && subscribe(client, client->tokens[i]); i++)
        continue;
}

static void on_message(void *state, struct text text)
{
    struct ws_client *client = state;
    auto_buf struct buf response = { 0 };
    struct error err, write_err;

    if (subscribe_decode(text, subscribe, client, &err) == 0)
        return;
    buf_init(&response, 4096);
    if (error_response_body(error_kind_name(err.kind), error_response_message(&err), err.field, &response,
                            &write_err) == 0)
        websocket_send(client->websocket, &response);
}

static void send_missing(struct ws_client *client, const char *token)
{
    auto_buf struct buf text = { 0 };
    struct error err;

    buf_init(&text, 1024);
    if (buf_printf(&text, &err,
                   "{\"token\":\"%s\",\"status\":null,\"error\":{\"code\":\"not_found\",\"message\":"
                   "\"no such submission; it never existed or has expired\",\"field\":null}}",
                   token) == 0)
        websocket_send(client->websocket, &text);
}

static void on_event(void *state, const struct websocket_event *posted)
{
    struct ws_client *client = state;
    const struct state_event *event = (const struct state_event *)posted;
    struct subscription **at = subscription_find(client, event->token);
    auto_buf struct buf text = { 0 };
    struct error err;

    if (*at == NULL)
        return;
    if (!event->found) {
        send_missing(client, event->token);
        subscription_end(client, at);
        return;
    }
    int new_state = (int)event->state, sent_state = (*at)->sent_state;
    if (event->was_read ? new_state <= sent_state : new_state == sent_state)
        return;
    (*at)->sent_state = new_state;
    buf_init(&text, 256);
    if (submission_response_state(event->token, event->state, &text, &err) == 0)
        websocket_send(client->websocket, &text);
    if (submission_state_is_final(event->state))
        subscription_end(client, at);
}

static void on_tick(void *state, uint64_t now_us)
{
    struct ws_client *client = state;

    for (struct subscription *at = client->subscriptions; at != NULL; at = at->next)
        if (now_us >= at->read_at_us)
            subscription_read(at);
}

static void on_closed(void *state)
{
    struct ws_client *client = state;

    while (client->subscriptions != NULL)
        subscription_end(client, &client->subscriptions);
    free(client);
}

/* ---- the route ------------------------------------------------------------------------------------------------ */

struct token_list {
    struct ws_client *client; /* NULL: only count */
    size_t len;
    bool is_invalid;
};

static bool on_token(struct token_list *list, struct text value)
{
    if (!token_is_valid(value) || list->len == TOKENS_MAX) {
        list->is_invalid = true;
        return false;
    }
    if (list->client != NULL)
        memcpy(list->client->tokens[list->len], value.at, TOKEN_LEN);
    list->len++;
    return true;
}

/* "TOKEN" or "TOKEN,TOKEN,...". */
static bool on_tokens(void *context, struct text value)
{
    for (size_t from = 0; from <= value.len;) {
        const char *comma = memchr(value.at + from, ',', value.len - from);
        size_t len = comma != NULL ? (size_t)(comma - value.at) - from : value.len - from;
        if (!on_token(context, (struct text){ value.at + from, len }))
            return false;
        from += len + 1;
    }
    return true;
}

static struct ws_client *client_new(const struct exchange *exchange, struct ws_server *server, struct error *err)
{
    struct token_list count = { 0 };

    exchange_query_each(exchange, "token", on_tokens, &count);
    if (count.is_invalid) {
        error_field(err, "token", "expected at most %d tokens of 26 characters each", TOKENS_MAX);
        return NULL;
    }
    struct ws_client *client = calloc(1, sizeof *client + count.len * TOKEN_BYTES);
    if (client == NULL) {
        error_set(err, ERROR_BUSY, ENOMEM, "open a WebSocket");
        return NULL;
    }
    client->server = server;
    struct token_list list = { .client = client };
    exchange_query_each(exchange, "token", on_tokens, &list);
    client->tokens_len = list.len;
    return client;
}

void ws_connect(struct exchange *exchange, void *context)
{
    struct api *api = context;
    struct error err = { 0 };

    if (!websocket_check_handshake(exchange))
        return;
    struct ws_client *client = client_new(exchange, api->ws_server, &err);
    if (client == NULL)
        exchange_respond_error(exchange, &err);
    else
        websocket_accept(api->ws_server->sockets, exchange, client);
}

/* ---- the server ----------------------------------------------------------------------------------------------- */

int ws_server_open(struct api *api, struct ws_server **ret, struct error *err)
{
    static const struct websocket_callbacks callbacks = {
        .opened = on_opened, .message = on_message, .event = on_event, .tick = on_tick, .closed = on_closed
    };
    struct ws_server *server = calloc(1, sizeof *server);

    if (server == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "create the WebSocket server");
    server->api = api;
    if (websocket_server_open(&callbacks, api->config->websocket_bytes_max, &server->sockets, err) < 0) {
        free(server);
        return -1;
    }
    *ret = server;
    return 0;
}

uint64_t ws_server_bytes(const struct ws_server *server)
{
    return websocket_server_bytes(server->sockets);
}

void ws_server_drain(struct ws_server *server)
{
    websocket_server_drain(server->sockets);
}

void ws_server_close(struct ws_server *server)
{
    if (server == NULL)
        return;
    websocket_server_close(server->sockets);
    free(server);
}
