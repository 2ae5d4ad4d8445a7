/*
 * websocket_handshake: the opening handshake (RFC 6455 section 4.2).
 */
#include <errno.h>
#include <nettle/sha1.h>

#include "base/base64.h"
#include "http/header_check.h"
#include "http/server_internal.h"
#include "http/websocket_internal.h"

static const struct refusal *find_refusal(const struct exchange *exchange)
{
    static const struct refusal no_upgrade = { 426, "Upgrade", "this path only supports WebSocket", NULL };
    static const struct refusal no_connection = { 400, "Connection", "expected Connection: Upgrade", NULL };
    static const struct refusal other_version = { 426, "Sec-WebSocket-Version", "the supported version is 13", NULL };
    static const struct refusal no_key = { 400, "Sec-WebSocket-Key", "expected 16 bytes in base64", NULL };
    static const struct refusal other_origin = { 403, "Origin", "pages of this origin may not connect", NULL };
    static const struct refusal not_get = { 400, "", "a WebSocket handshake is a GET request", NULL };
    const char *cors_origin = exchange->server->settings.cors_origin;
    auto_buf struct buf key = { 0 };
    struct text value;
    struct error err;

    if (!exchange_header(exchange, "Upgrade", &value) || !header_has_word(value, TEXT("websocket")))
        return &no_upgrade;
    if (!exchange_header(exchange, "Connection", &value) || !header_has_word(value, TEXT("upgrade")))
        return &no_connection;
    if (!text_equal(exchange_method(exchange), TEXT("GET"))) /* HEAD uses the same route */
        return &not_get;
    if (!exchange_header(exchange, "Sec-WebSocket-Version", &value) || !text_equal(value, TEXT("13")))
        return &other_version;
    buf_init(&key, 64);
    if (!exchange_header(exchange, "Sec-WebSocket-Key", &value) || value.len != 24 ||
        base64_decode(value, &key, &err) < 0 || key.len != 16)
        return &no_key;
    /* Browsers let any page open a WebSocket.  CORS does not apply to it, so the same restriction is enforced here. */
    if (strcmp(cors_origin, "*") != 0 && exchange_header(exchange, "Origin", &value) &&
        !text_equal(value, text_of(cors_origin)) && !header_origin_is_host(value, exchange_host(exchange)))
        return &other_origin;
    return NULL;
}

bool websocket_check_handshake(struct exchange *exchange)
{
    static const char *const version[] = { "Upgrade: websocket", "Sec-WebSocket-Version: 13", NULL };
    const struct refusal *refusal = find_refusal(exchange);

    if (refusal != NULL)
        exchange_respond_refusal(exchange, refusal, refusal->status == 426 ? version : NULL);
    return refusal == NULL;
}

/* RFC 6455 section 4.2.2, step 5.4: the value of Sec-WebSocket-Accept. */
static int hash_key(struct text key, struct buf *out, struct error *err)
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

void websocket_accept(struct websocket_server *server, struct exchange *exchange, void *state)
{
    auto_buf struct buf accept = { 0 };
    struct text key = { 0 };
    struct error err = { 0 };
    struct websocket *websocket = websocket_new(server, state, &err);

    buf_init(&accept, 64);
    (void)exchange_header(exchange, "Sec-WebSocket-Key", &key);
    if (websocket != NULL && hash_key(key, &accept, &err) == 0) {
        exchange_upgrade_websocket(exchange, accept.at, websocket_on_upgraded, websocket);
        return;
    }
    if (websocket != NULL)
        websocket_free(websocket);
    exchange_respond_error(exchange, &err);
}
