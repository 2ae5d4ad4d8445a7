/* The HTTP server over raw sockets: refusals, slow clients, upgrades and drains. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/server.h"

#define BODY_MAX 1000

static struct exchange *_Atomic suspended;
static struct server *server;

static void echo(struct exchange *exchange, void *context)
{
    struct buf body;
    struct error err;
    (void)context;

    buf_init(&body, 2 * BODY_MAX);
    assert_int_equal(buf_append_text(&body, exchange_body(exchange), &err), 0);
    exchange_respond(exchange, 200, "text/plain", &body, NULL);
}

static void segment(struct exchange *exchange, void *context)
{
    struct buf body;
    struct error err;
    struct text query = { 0 };
    (void)context;

    (void)exchange_query(exchange, "q", &query);
    buf_init(&body, BODY_MAX);
    assert_int_equal(buf_printf(&body, &err, "[%.*s][%.*s]", TEXT_ARG(exchange_segment(exchange)), TEXT_ARG(query)), 0);
    exchange_respond(exchange, 200, "text/plain", &body, NULL);
}

static void *answer_after_a_while(void *exchange)
{
    struct buf body;
    struct error err;

    (void)nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
    buf_init(&body, BODY_MAX);
    assert_int_equal(buf_printf(&body, &err, "{\"late\":true}"), 0);
    exchange_respond_json(exchange, 200, &body);
    return NULL;
}

static void later(struct exchange *exchange, void *context)
{
    pthread_t thread;
    (void)context;

    assert_int_equal(pthread_create(&thread, NULL, answer_after_a_while, exchange), 0);
    assert_int_equal(pthread_detach(thread), 0);
}

static void suspend(struct exchange *exchange, void *context)
{
    (void)context;
    suspended = exchange;
}

static void store_unavailable(struct exchange *exchange, void *context)
{
    struct error err;
    (void)context;

    error_set(&err, ERROR_STORE, ECONNREFUSED, "connect to secret-host:6379");
    exchange_respond_error(exchange, &err);
}

static void on_upgraded(void *context, struct upgraded *upgraded, struct text already_read)
{
    (void)context;
    assert_non_null(upgraded);
    (void)send(upgraded_fd(upgraded), already_read.at, already_read.len, MSG_NOSIGNAL);
    upgraded_close(upgraded);
}

static void upgrade(struct exchange *exchange, void *context)
{
    exchange_upgrade_websocket(exchange, "accepted", on_upgraded, context);
}

static const struct route routes[] = {
    { "POST", "/echo", "/echo", true, echo },
    { "GET", "/things/*", "/things/{thing}", false, segment },
    { "DELETE", "/things/*", "/things/{thing}", false, segment },
    { "GET", "/later", "/later", false, later },
    { "POST", "/suspend", "/suspend", true, suspend },
    { "GET", "/fail", "/fail", false, store_unavailable },
    { "GET", "/upgrade", "/upgrade", false, upgrade },
};

static void start(uint32_t deadline_s, uint64_t bodies_bytes_max)
{
    struct error err;
    struct server_settings settings = {
        .host = "127.0.0.1",
        .routes = routes,
        .routes_len = sizeof routes / sizeof *routes,
        .connections_max = 100,
        .deadline_s = deadline_s,
        .idle_s = 60,
        .body_bytes_max = BODY_MAX,
        .bodies_bytes_max = bodies_bytes_max,
        .cors_origin = "*",
    };
    if (server_start(&settings, &server, &err) < 0)
        fail_msg("%s", err.text);
}

static void stop(uint64_t drain_ms)
{
    server_stop(server, clock_mono_us() + drain_ms * 1000);
    server = NULL;
}

static int setup(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_ERROR);
    start(30, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stop(1000);
    return 0;
}

static int dial(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(server_port(server)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* On a busy machine the first byte may be late, but not the following ones. */
#define BEGIN_MS 2000

/* Everything received until `ms` of silence, or until the server closes the connection (*ret_closed). */
static char *listen_for(int fd, int ms, bool *ret_closed)
{
    static char answer[65536];
    size_t len = 0;

    *ret_closed = false;
    for (;;) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        if (poll(&ready, 1, len == 0 && ms < BEGIN_MS ? BEGIN_MS : ms) <= 0)
            break;
        ssize_t got = recv(fd, answer + len, sizeof answer - 1 - len, 0);
        if (got <= 0) {
            *ret_closed = true;
            break;
        }
        len += (size_t)got;
    }
    answer[len] = '\0';
    return answer;
}

static char *ask_bytes(const char *request, size_t len, bool *ret_closed)
{
    auto_close int fd = dial();

    assert_int_equal(send(fd, request, len, MSG_NOSIGNAL), len);
    return listen_for(fd, 200, ret_closed);
}

static int status_of(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? (int)strtol(answer + 9, NULL, 10) : 0;
}

#define HEAD "Host: x\r\n"
/* libmicrohttpd 1.0 refuses them itself. */
#define OTHER_CODING (MHD_VERSION >= 0x01000000 ? 400 : 501)
static void each_rule_for_a_head_is_enforced(void **state)
{
    (void)state;
    static const struct {
        const char *why, *request;
        int status;
        bool closes;
    } rows[] = {
        { "plain", "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 2\r\n\r\nhi", 200, false },
        { "chunked", "POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 200,
          false },
        { "length and coding",
          "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
          true },
        { "two lengths", "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", 400, true },
        { "equal lengths", "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", 400,
          true },
        { "signed length", "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: +2\r\n\r\nhi", 400, true },
        { "blank before colon", "POST /echo HTTP/1.1\r\n" HEAD "Content-Length : 2\r\n\r\nhi", 400, true },
        { "odd name", "GET /things/a HTTP/1.1\r\n" HEAD "X(Y): 2\r\n\r\n", 400, true },
        { "unknown coding", "POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: xchunked\r\n\r\n", OTHER_CODING, true },
        { "two codings", "POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n", OTHER_CODING,
          true },
        { "coding in 1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, true },
        { "no host", "GET /things/a HTTP/1.1\r\n\r\n", 400, true },
        { "two hosts", "GET /things/a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, true },
        { "odd host", "GET /things/a HTTP/1.1\r\nHost: a b\r\n\r\n", 400, true },
        { "1.0 needs no host", "GET /things/a HTTP/1.0\r\n\r\n", 200, true },
        { "blank in target", "GET /things/a b HTTP/1.1\r\n" HEAD "\r\n", 400, true },
        { "raw byte in target", "GET /things/\xc3\xa4 HTTP/1.1\r\n" HEAD "\r\n", 400, true },
        { "too long, told", "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 1001\r\n\r\n", 413, true },
        { "too long, expecting", "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
          413, true },
        { "huge", "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 99999999999999999999999\r\n\r\n", 413, true },
        { "unmet expectation", "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 2\r\nExpect: cake\r\n\r\nhi", 417,
          true },
        { "body where none is taken", "GET /things/a HTTP/1.1\r\n" HEAD "Content-Length: 2\r\n\r\nhi", 413, true },
        { "unknown path", "GET /nowhere HTTP/1.1\r\n" HEAD "\r\n", 404, false },
        { "unknown path with a body", "POST /nowhere HTTP/1.1\r\n" HEAD "Content-Length: 2\r\n\r\nhi", 404, true },
        { "empty segment", "GET /things/ HTTP/1.1\r\n" HEAD "\r\n", 404, false },
        { "two segments", "GET /things/a/b HTTP/1.1\r\n" HEAD "\r\n", 404, false },
        { "other method", "PUT /things/a HTTP/1.1\r\n" HEAD "\r\n", 405, false },
        { "preflight", "OPTIONS /echo HTTP/1.1\r\n" HEAD "Origin: http://a\r\n\r\n", 204, false },
        { "a NUL in the path", "GET /fail%00x HTTP/1.1\r\n" HEAD "\r\n", 404, false },
        { "store unavailable", "GET /fail HTTP/1.1\r\n" HEAD "\r\n", 503, false },
        { "answered later", "GET /later HTTP/1.1\r\n" HEAD "\r\n", 200, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool closed;
        print_message("  %s\n", rows[i].why);
        char *answer = ask_bytes(rows[i].request, strlen(rows[i].request), &closed);
        assert_int_equal(status_of(answer), rows[i].status);
        assert_int_equal(closed, rows[i].closes);
        if (closed && rows[i].status >= 400)
            assert_non_null(strcasestr(answer, "\r\nConnection: close\r\n"));
    }
}

static char *ask(const char *request)
{
    bool closed;
    return ask_bytes(request, strlen(request), &closed);
}

static void an_error_is_json_and_open_to_every_origin(void **state)
{
    (void)state;
    char *answer = ask("PUT /things/a HTTP/1.1\r\n" HEAD "\r\n");
    assert_non_null(strstr(answer, "\r\nAllow: GET, HEAD, DELETE, OPTIONS\r\n"));
    assert_non_null(strstr(answer, "\r\nAccess-Control-Allow-Origin: *\r\n"));
    assert_non_null(strstr(answer, "{\"error\":{\"code\":\"method_not_allowed\",\"message\":\"this path"));
    assert_non_null(strstr(answer, "\"field\":null}}"));
}

static void an_internal_failure_hides_its_cause(void **state)
{
    (void)state;
    char *answer = ask("GET /fail HTTP/1.1\r\n" HEAD "\r\n");
    assert_non_null(strstr(answer, "\r\nRetry-After: 1\r\n"));
    assert_non_null(strstr(answer, "\"code\":\"store_unavailable\""));
    assert_null(strstr(answer, "secret-host"));
}

static void a_preflight_lists_the_allowed_methods(void **state)
{
    (void)state;
    char *answer = ask("OPTIONS /things/a HTTP/1.1\r\n" HEAD "Origin: http://a\r\n\r\n");
    assert_non_null(strstr(answer, "Access-Control-Allow-Methods: GET, HEAD, DELETE, OPTIONS\r\n"));
    assert_non_null(strstr(answer, "Access-Control-Allow-Headers: Content-Type"));
    assert_non_null(strstr(answer, "Access-Control-Max-Age: "));
}

static void a_head_request_has_no_body(void **state)
{
    (void)state;
    char *answer = ask("HEAD /things/abc?q=d HTTP/1.1\r\n" HEAD "\r\n");
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "\r\nContent-Length: 8\r\n"));
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
}

static void percent_encoding_is_resolved(void **state)
{
    (void)state;
    char *answer = ask("GET /things/a%20b?q=%41+c%00d HTTP/1.1\r\n" HEAD "\r\n");
    assert_non_null(strstr(answer, "[a b][A c%00d]"));
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    char *answer = ask("GET /later HTTP/1.1\r\n" HEAD "\r\nPOST /echo HTTP/1.1\r\n" HEAD "Content-Length: 3\r\n\r\n"
                       "oneGET /things/two HTTP/1.1\r\n" HEAD "\r\n");
    char *first = strstr(answer, "{\"late\":true}"), *second = strstr(answer, "one");
    assert_non_null(first);
    assert_non_null(second);
    assert_true(first < second);
    assert_non_null(strstr(second, "[two][]"));
}

/* The whole body is sent before the answer is read; a reset would lose the answer. */
static void a_refusal_reaches_a_client_that_goes_on_sending(void **state)
{
    (void)state;
    static char junk[4 << 20];
    static const char *const heads[] = {
        "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 4194304\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n400000\r\n",
    };
    for (size_t i = 0; i < 2; i++) {
        bool closed;
        auto_close int fd = dial();
        assert_int_equal(send(fd, heads[i], strlen(heads[i]), MSG_NOSIGNAL), strlen(heads[i]));
        for (size_t sent = 0; sent < sizeof junk;) {
            ssize_t n = send(fd, junk + sent, sizeof junk - sent, MSG_NOSIGNAL);
            assert_true(n > 0);
            sent += (size_t)n;
        }
        assert_int_equal(status_of(listen_for(fd, 1000, &closed)), 413);
        assert_true(closed);
    }
}

static void a_head_that_is_too_large_is_refused(void **state)
{
    (void)state;
    static char request[70000];
    bool closed;
    int len = snprintf(request, sizeof request, "GET /things/a HTTP/1.1\r\n" HEAD "X: ");
    memset(request + len, 'a', sizeof request - (size_t)len);
    auto_close int fd = dial();
    (void)send(fd, request, sizeof request, MSG_NOSIGNAL);
    char *answer = listen_for(fd, 500, &closed);
    assert_true(closed);
    assert_true(status_of(answer) == 431 || status_of(answer) == 0);
    assert_int_equal(status_of(ask("GET /things/a HTTP/1.1\r\n" HEAD "\r\n")), 200);
}

static void an_upgraded_socket_comes_with_the_bytes_already_read(void **state)
{
    (void)state;
    char *answer = ask("GET /upgrade HTTP/1.1\r\n" HEAD "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly bytes");
    assert_int_equal(status_of(answer), 101);
    assert_non_null(strstr(answer, "Sec-WebSocket-Accept: accepted"));
    assert_non_null(strstr(answer, "\r\n\r\nearly bytes"));
}

static void slow_clients_are_ended_at_the_deadline(void **state)
{
    (void)state;
    static const struct {
        const char *why, *request, *drip;
    } rows[] = {
        { "slow head", "GET /things/a HTTP/1.1\r\n", "X" },
        { "slow body", "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 900\r\n\r\n", "x" },
        { "slow request line", "GET /", "x" },
        { "nothing", "", "" },
    };
    stop(1000);
    start(1, 1 << 20);
    int fds[4];
    uint64_t begin = clock_mono_us();
    for (size_t i = 0; i < 4; i++) {
        fds[i] = dial();
        (void)send(fds[i], rows[i].request, strlen(rows[i].request), MSG_NOSIGNAL);
    }
    while (clock_mono_us() - begin < 800000) {
        for (size_t i = 0; i < 4; i++)
            (void)send(fds[i], rows[i].drip, strlen(rows[i].drip), MSG_NOSIGNAL);
        (void)nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
    }
    for (size_t i = 0; i < 4; i++) {
        bool closed;
        print_message("  %s\n", rows[i].why);
        char *answer = listen_for(fds[i], 1500, &closed);
        assert_true(closed);
        assert_int_equal(status_of(answer), i < 2 ? 408 : 0);
        (void)close(fds[i]);
    }
    uint64_t took = clock_mono_us() - begin;
    assert_in_range(took, 900000, 2500000);
}

static void a_suspended_exchange_has_no_deadline(void **state)
{
    (void)state;
    stop(1000);
    start(1, 1 << 20);
    bool closed;
    suspended = NULL;
    auto_close int fd = dial();
    (void)send(fd, "POST /suspend HTTP/1.1\r\n" HEAD "Content-Length: 0\r\n\r\n", 54, MSG_NOSIGNAL);
    assert_string_equal(listen_for(fd, 2000, &closed), "");
    assert_false(closed);
    exchange_respond(suspended, 204, NULL, NULL, NULL);
    assert_int_equal(status_of(listen_for(fd, 300, &closed)), 204);
}

static void memory_of_bodies_is_bounded(void **state)
{
    (void)state;
    stop(1000);
    start(30, 1500);
    char *answer;
    bool closed;
    static char request[2000];
    int len = snprintf(request, sizeof request, "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 900\r\n\r\n");
    memset(request + len, 'x', 900);
    auto_close int first = dial();
    auto_close int second = dial();
    (void)send(first, request, (size_t)len + 899, MSG_NOSIGNAL); /* all but the last byte */
    assert_string_equal(listen_for(first, 200, &closed), "");
    (void)send(second, request, (size_t)len + 900, MSG_NOSIGNAL);
    answer = listen_for(second, 500, &closed);
    assert_int_equal(status_of(answer), 503);
    assert_non_null(strstr(answer, "Retry-After"));
    (void)send(first, "x", 1, MSG_NOSIGNAL);
    assert_int_equal(status_of(listen_for(first, 500, &closed)), 200);
    assert_int_equal(status_of(ask_bytes(request, (size_t)len + 900, &closed)), 200); /* the memory was released */
}

static void *stop_server(void *context)
{
    (void)context;
    stop(5000);
    return NULL;
}

static void a_drain_answers_pending_requests(void **state)
{
    (void)state;
    pthread_t stopper;
    bool closed;
    suspended = NULL;
    auto_close int busy = dial();
    auto_close int idle = dial();
    (void)send(busy, "POST /suspend HTTP/1.1\r\n" HEAD "Content-Length: 0\r\n\r\n", 54, MSG_NOSIGNAL);
    (void)send(idle, "GET /things/a HTTP/1.1\r\n" HEAD "\r\n", 35, MSG_NOSIGNAL);
    assert_int_equal(status_of(listen_for(idle, 200, &closed)), 200);
    uint16_t port = server_port(server);
    assert_int_equal(pthread_create(&stopper, NULL, stop_server, NULL), 0);

    (void)listen_for(idle, 500, &closed);
    assert_true(closed); /* idle connections are closed at once */
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    auto_close int refused = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(refused, (struct sockaddr *)&address, sizeof address), -1);

    assert_non_null(suspended);
    exchange_respond(suspended, 204, NULL, NULL, NULL);
    char *answer = listen_for(busy, 1000, &closed);
    assert_int_equal(status_of(answer), 204);
    assert_true(closed);
    assert_non_null(strcasestr(answer, "\r\nConnection: close\r\n"));
    assert_int_equal(pthread_join(stopper, NULL), 0);
}

static void a_drain_past_its_deadline_answers_503(void **state)
{
    (void)state;
    bool closed;
    suspended = NULL;
    auto_close int fd = dial();
    (void)send(fd, "POST /suspend HTTP/1.1\r\n" HEAD "Content-Length: 0\r\n\r\n", 54, MSG_NOSIGNAL);
    (void)listen_for(fd, 100, &closed);
    stop(100);
    assert_int_equal(status_of(listen_for(fd, 500, &closed)), 503);
    assert_true(closed);
    exchange_respond(suspended, 204, NULL, NULL, NULL); /* too late; has no effect */
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(each_rule_for_a_head_is_enforced),
        ROW(an_error_is_json_and_open_to_every_origin),
        ROW(an_internal_failure_hides_its_cause),
        ROW(a_preflight_lists_the_allowed_methods),
        ROW(a_head_request_has_no_body),
        ROW(percent_encoding_is_resolved),
        ROW(pipelined_requests_are_answered_in_order),
        ROW(a_refusal_reaches_a_client_that_goes_on_sending),
        ROW(a_head_that_is_too_large_is_refused),
        ROW(an_upgraded_socket_comes_with_the_bytes_already_read),
        ROW(slow_clients_are_ended_at_the_deadline),
        ROW(a_suspended_exchange_has_no_deadline),
        ROW(memory_of_bodies_is_bounded),
        ROW(a_drain_answers_pending_requests),
        ROW(a_drain_past_its_deadline_answers_503),
    };
    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
