/*
 * websocket_handshake: GET /ws until the 101 (RFC 6455 section 4.2).
 */
#include <errno.h>
#include <nettle/sha1.h>

#include "api/websocket.h"
#include "base/base64.h"
#include "config/config.h"
#include "http/header_check.h"

static const struct refusal *check_handshake(const struct exchange *exchange, const struct config *config,
                                             struct text *ret_key)
{
    static const struct refusal no_upgrade = { 426, "Upgrade", "this path speaks WebSocket only" };
    static const struct refusal no_connection = { 400, "Connection", "expected Connection: Upgrade" };
    static const struct refusal other_version = { 426, "Sec-WebSocket-Version", "the version spoken here is 13" };
    static const struct refusal no_key = { 400, "Sec-WebSocket-Key", "expected 16 bytes as base64" };
    static const struct refusal other_origin = { 403, "Origin", "pages of this origin may not connect" };
    static const struct refusal not_get = { 400, "", "a WebSocket begins with GET" };
    auto_buf struct buf key = { 0 };
    struct text value;
    struct error err;

    if (!exchange_header(exchange, "Upgrade", &value) || !header_has_word(value, TEXT("websocket")))
        return &no_upgrade;
    if (!exchange_header(exchange, "Connection", &value) || !header_has_word(value, TEXT("upgrade")))
        return &no_connection;
    if (!text_equal(exchange_method(exchange), TEXT("GET")))
        return &not_get;
    if (!exchange_header(exchange, "Sec-WebSocket-Version", &value) || !text_equal(value, TEXT("13")))
        return &other_version;
    buf_init(&key, 64);
    if (!exchange_header(exchange, "Sec-WebSocket-Key", ret_key) || ret_key->len != 24 ||
        base64_decode(*ret_key, &key, &err) < 0 || key.len != 16)
        return &no_key;
    /* Browsers let any page open a WebSocket; the restriction that CORS is for other requests must be made here. */
    if (strcmp(config->cors_origin, "*") != 0 && exchange_header(exchange, "Origin", &value) &&
        !text_equal(value, text_of(config->cors_origin)))
        return &other_origin;
    return NULL;
}

/* RFC 6455 section 4.2.2, step 5.4. */
static int accept_of(struct text key, struct buf *out, struct error *err)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t digest[SHA1_DIGEST_SIZE];
    struct sha1_ctx sha;

    sha1_init(&sha);
    sha1_update(&sha, key.len, (const uint8_t *)key.at);
    sha1_update(&sha, sizeof guid - 1, (const uint8_t *)guid);
    sha1_digest(&sha, sizeof digest, digest);
    return base64_encode((struct text){ (const char *)digest, sizeof digest }, out, err);
}

struct token_list {
    struct ws_handshake *ws_handshake; /* NULL: only counted */
    size_t len;
    bool is_wrong;
};

static bool on_token(void *context, struct text value)
{
    struct token_list *list = context;

    if (!token_is_valid(value) || list->len == WEBSOCKET_TOKENS_MAX) {
        list->is_wrong = true;
        return false;
    }
    if (list->ws_handshake != NULL)
        memcpy(list->ws_handshake->tokens[list->len], value.at, TOKEN_LEN);
    list->len++;
    return true;
}

static struct ws_handshake *ws_handshake_new(const struct exchange *exchange, struct ws_server *ws_server,
                                             struct error *err)
{
    struct token_list count = { 0 };

    exchange_query_each(exchange, "token", on_token, &count);
    if (count.is_wrong) {
        error_field(err, "token", "expected at most %d tokens of 26 characters each", WEBSOCKET_TOKENS_MAX);
        return NULL;
    }
    struct ws_handshake *ws_handshake = calloc(1, sizeof *ws_handshake + count.len * TOKEN_BYTES);
    if (ws_handshake == NULL) {
        error_set(err, ERROR_BUSY, ENOMEM, "open a WebSocket");
        return NULL;
    }
    ws_handshake->ws_server = ws_server;
    struct token_list list = { .ws_handshake = ws_handshake };
    exchange_query_each(exchange, "token", on_token, &list);
    ws_handshake->tokens_len = list.len;
    return ws_handshake;
}

void websocket_open(struct exchange *exchange, void *context)
{
    static const char *const version[] = { "Upgrade: websocket", "Sec-WebSocket-Version: 13", NULL };
    struct api *api = context;
    struct text key;
    auto_buf struct buf accept = { 0 };
    struct error err = { 0 };

    buf_init(&accept, 64);
    const struct refusal *refusal = check_handshake(exchange, api->config, &key);
    if (refusal != NULL) {
        exchange_answer_refusal(exchange, refusal, refusal->status == 426 ? version : NULL);
        return;
    }
    struct ws_handshake *ws_handshake = ws_handshake_new(exchange, api->ws_server, &err);
    if (ws_handshake == NULL || accept_of(key, &accept, &err) < 0) {
        free(ws_handshake);
        exchange_answer_error(exchange, &err);
        return;
    }
    exchange_upgrade_websocket(exchange, accept.at, websocket_taken, ws_handshake);
}
