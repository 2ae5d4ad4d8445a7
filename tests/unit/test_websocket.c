/* The WebSocket server over raw sockets, with an application that echoes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/server.h"
#include "http/websocket.h"

static struct server *server;
static struct websocket_server *sockets;
static _Atomic uint64_t opened_id;
static _Atomic int closed_len;

struct client {
    struct websocket *websocket;
};

struct number_event {
    struct websocket_event event; /* first */
    int number;
};

static void on_opened(void *state, struct websocket *websocket)
{
    struct client *client = state;

    client->websocket = websocket;
    opened_id = websocket_id(websocket);
}

static void on_message(void *state, struct text text)
{
    struct client *client = state;
    auto_buf struct buf copy = { 0 };
    struct error err;

    if (text_equal(text, TEXT("close"))) {
        websocket_close(client->websocket, WEBSOCKET_POLICY_VIOLATION, "asked to");
        return;
    }
    buf_init(&copy, 1000);
    assert_int_equal(buf_append_text(&copy, text, &err), 0);
    websocket_send(client->websocket, &copy);
}

static void on_event(void *state, const struct websocket_event *event)
{
    struct client *client = state;
    auto_buf struct buf text = { 0 };
    struct error err;

    buf_init(&text, 1000);
    assert_int_equal(buf_printf(&text, &err, "number %d", ((const struct number_event *)event)->number), 0);
    websocket_send(client->websocket, &text);
}

static void on_tick(void *state, uint64_t now_us)
{
    (void)state;
    (void)now_us;
}

static void on_closed(void *state)
{
    free(state);
    closed_len++;
}

static void connect_handler(struct exchange *exchange, void *context)
{
    (void)context;
    if (websocket_check_handshake(exchange))
        websocket_accept(sockets, exchange, calloc(1, sizeof(struct client)));
}

static int setup(void **state)
{
    static const struct websocket_callbacks callbacks = {
        .opened = on_opened, .message = on_message, .event = on_event, .tick = on_tick, .closed = on_closed
    };
    static const struct route routes[] = { { "GET", "/ws", "/ws", false, connect_handler } };
    struct server_settings settings = { .host = "127.0.0.1",
                                        .routes = routes,
                                        .routes_len = 1,
                                        .connections_max = 10,
                                        .deadline_s = 30,
                                        .cors_origin = "https://here" };
    struct error err;
    (void)state;

    log_set_level(LOG_LEVEL_ERROR);
    opened_id = 0;
    closed_len = 0;
    if (websocket_server_open(&callbacks, 0, &sockets, &err) < 0 || server_start(&settings, &server, &err) < 0)
        fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    websocket_server_drain(sockets);
    server_stop(server, clock_mono_us());
    websocket_server_close(sockets);
    return 0;
}

/* Receives exactly `len` bytes within two seconds; false if the connection ends before. */
static bool receive(int fd, char *to, size_t len)
{
    for (size_t at = 0; at < len;) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        if (poll(&ready, 1, 2000) <= 0)
            return false;
        ssize_t got = recv(fd, to + at, len - at, 0);
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

/* Sends a handshake with these additional headers, and returns the status. */
static int shake(int *ret_fd, const char *headers)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(server_port(server)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char request[500], head[2000] = "";
    size_t len = 0;

    *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(*ret_fd, (struct sockaddr *)&address, sizeof address), 0);
    int request_len = snprintf(request, sizeof request, "GET /ws HTTP/1.1\r\nHost: x\r\n%s\r\n", headers);
    assert_int_equal(send(*ret_fd, request, (size_t)request_len, MSG_NOSIGNAL), request_len);
    while (strstr(head, "\r\n\r\n") == NULL && len < sizeof head - 1 && receive(*ret_fd, head + len, 1))
        head[++len] = '\0';
    if (strncmp(head, "HTTP/1.1 101", 12) == 0) /* the example of RFC 6455 section 1.3 */
        assert_non_null(strstr(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    return (int)strtol(head + 9, NULL, 10);
}

#define UPGRADE "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"

/* A masked frame with a short payload. */
static void send_frame(int fd, unsigned opcode, const char *payload)
{
    static const char mask[4] = { 1, 2, 3, 4 };
    size_t len = strlen(payload);
    char frame[200] = { (char)(0x80 | opcode), (char)(0x80 | len) };

    assert_true(len < 126);
    memcpy(frame + 2, mask, 4);
    for (size_t i = 0; i < len; i++)
        frame[6 + i] = (char)(payload[i] ^ mask[i % 4]);
    assert_int_equal(send(fd, frame, 6 + len, MSG_NOSIGNAL), 6 + len);
}

/* Returns the opcode, or -1 at the end of the connection; the payload is terminated by NUL. */
static int receive_frame(int fd, char payload[200])
{
    unsigned char head[2];

    if (!receive(fd, (char *)head, 2))
        return -1;
    assert_true(head[1] < 126);
    if (!receive(fd, payload, head[1]))
        return -1;
    payload[head[1]] = '\0';
    return head[0] & 0x0f;
}

static void expect_text(int fd, const char *expected)
{
    char payload[200];

    assert_int_equal(receive_frame(fd, payload), 1);
    assert_string_equal(payload, expected);
}

static void expect_close(int fd, unsigned code)
{
    char payload[200];

    assert_int_equal(receive_frame(fd, payload), 8);
    assert_int_equal((unsigned char)payload[0] << 8 | (unsigned char)payload[1], code);
}

static void each_rule_for_a_handshake_is_enforced(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        int status;
    } rows[] = {
        { UPGRADE KEY VERSION, 101 },
        { UPGRADE KEY VERSION "Origin: https://here\r\n", 101 },
        { UPGRADE KEY VERSION "Origin: https://elsewhere\r\n", 403 },
        { KEY VERSION, 426 },
        { "Upgrade: websocket\r\n" KEY VERSION, 400 },
        { UPGRADE KEY "Sec-WebSocket-Version: 8\r\n", 426 },
        { UPGRADE VERSION, 400 },
        { UPGRADE VERSION "Sec-WebSocket-Key: c2hvcnQ=\r\n", 400 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd;
        print_message("  %s\n", rows[i].headers);
        assert_int_equal(shake(&fd, rows[i].headers), rows[i].status);
        (void)close(fd);
    }
}

static void messages_and_events_reach_their_connection(void **state)
{
    (void)state;
    int first, second;
    assert_int_equal(shake(&first, UPGRADE KEY VERSION), 101);
    send_frame(first, 1, "hello");
    expect_text(first, "hello");
    uint64_t first_id = opened_id;
    assert_int_equal(shake(&second, UPGRADE KEY VERSION), 101);
    send_frame(second, 1, "you");
    expect_text(second, "you");
    assert_true(opened_id != first_id);

    for (int i = 0; i < 2; i++) {
        struct number_event *event = calloc(1, sizeof *event);
        event->event.websocket_id = i == 0 ? first_id + 100 : first_id; /* the first one is dropped */
        event->number = i;
        websocket_post(sockets, &event->event);
    }
    expect_text(first, "number 1");
    send_frame(second, 9, "ping");
    char payload[200];
    assert_int_equal(receive_frame(second, payload), 10);
    assert_string_equal(payload, "ping");
    (void)close(first);
    (void)close(second);
}

static void each_close_has_its_code(void **state)
{
    (void)state;
    int fd;
    assert_int_equal(shake(&fd, UPGRADE KEY VERSION), 101);
    send_frame(fd, 1, "close");
    expect_close(fd, WEBSOCKET_POLICY_VIOLATION);
    (void)close(fd);
    assert_int_equal(shake(&fd, UPGRADE KEY VERSION), 101);
    send_frame(fd, 2, "binary");
    expect_close(fd, 1003);
    (void)close(fd);
}

static void a_drain_closes_all_and_accepts_no_more(void **state)
{
    (void)state;
    int fd, late;
    char byte;
    assert_int_equal(shake(&fd, UPGRADE KEY VERSION), 101);
    send_frame(fd, 1, "hello");
    expect_text(fd, "hello");
    websocket_server_drain(sockets); /* ends after a second, because this client does not respond */
    expect_close(fd, 1001);
    assert_int_equal(closed_len, 1);
    assert_int_equal(shake(&late, UPGRADE KEY VERSION), 101);
    assert_false(receive(late, &byte, 1));
    (void)close(fd);
    (void)close(late);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(each_rule_for_a_handshake_is_enforced),
        ROW(messages_and_events_reach_their_connection),
        ROW(each_close_has_its_code),
        ROW(a_drain_closes_all_and_accepts_no_more),
    };
    return cmocka_run_group_tests_name("websocket", tests, NULL, NULL);
}
