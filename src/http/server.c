/*
 * server: our only contact with libmicrohttpd ("MHD" below).
 *
 * Theory of operation.  One MHD thread runs an epoll loop.  For each request it calls
 *
 *   on_target   when the request line is there          (phase READING begins)
 *   on_request  first call: the headers are there       -> begin_exchange: every check, route, 413 before the body
 *   on_request  with bytes of the body, any number      -> collect_body
 *   on_request  without bytes: the request is whole     -> handle: the route's handler
 *   on_complete the answer was sent, or the client left (phase IDLE begins)
 *
 * A handler that answers inside its own call never leaves the MHD thread.  One that keeps the exchange has its
 * connection suspended; whoever calls exchange_answer, on whatever thread, builds the response there and resumes it,
 * and MHD then calls on_request once more to fetch it.
 *
 * An exchange has two owners, MHD's side (until on_complete) and the handler's (until exchange_answer), and is
 * freed by the last.  Its lock guards `state`, on which the two sides meet:
 *
 *   OPEN -> HANDLED -> KEPT -> ANSWERED -> QUEUED       answered later: suspended in between
 *           HANDLED ---------> ANSWERED -> QUEUED       answered inside the handler's call
 *                      KEPT -> ABANDONED                the server stops without its answer: 503
 *
 * MHD (0.9.75) takes no response while a body is arriving.  A chunked body that grows beyond its limit is therefore
 * refused by writing the answer to the socket ourselves and telling MHD to close; nothing of MHD's is under way then.
 */
#include "http/server.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <sys/socket.h>

#include "api/answer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/exchange.h"
#include "http/listen.h"
#include "metrics/metrics.h"

#define CONNECTION_MEMORY_BYTES 32768 /* bounds the head of a request: request line and headers */
#define IDLE_S_DEFAULT 60
#define BODIES_BYTES_DEFAULT (256u << 20)
#define LAST_WORDS_MS 1000 /* after a drain ran out: for the 503s to leave */

struct upgraded {
    struct MHD_UpgradeResponseHandle *handle;
    struct server *server;
    int fd;
};

/* ---- what a handler reads ------------------------------------------------------------------------------------- */

static bool look_up(const struct exchange *exchange, enum MHD_ValueKind kind, const char *name, struct text *ret)
{
    const char *value = NULL;
    size_t len = 0;

    if (MHD_lookup_connection_value_n(exchange->mhd, kind, name, strlen(name), &value, &len) != MHD_YES)
        return false;
    *ret = (struct text){ value, value != NULL ? len : 0 };
    return true;
}

bool exchange_query(const struct exchange *exchange, const char *name, struct text *ret_value)
{
    return look_up(exchange, MHD_GET_ARGUMENT_KIND, name, ret_value);
}

bool exchange_header(const struct exchange *exchange, const char *name, struct text *ret_value)
{
    return look_up(exchange, MHD_HEADER_KIND, name, ret_value);
}

struct query_walk {
    struct text name;
    exchange_value *each;
    void *context;
};

static enum MHD_Result on_query(void *context, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                const char *value, size_t value_len)
{
    struct query_walk *walk = context;
    (void)kind;

    if (!text_equal((struct text){ name, name_len }, walk->name))
        return MHD_YES;
    return walk->each(walk->context, (struct text){ value, value != NULL ? value_len : 0 }) ? MHD_YES : MHD_NO;
}

void exchange_query_each(const struct exchange *exchange, const char *name, exchange_value *each, void *context)
{
    struct query_walk walk = { text_of(name), each, context };

    (void)MHD_get_connection_values_n(exchange->mhd, MHD_GET_ARGUMENT_KIND, on_query, &walk);
}

/* ---- an exchange's life --------------------------------------------------------------------------------------- */

/* The memory of a server lives as long as the last of its exchanges, which may be answered after server_stop. */
static void server_disown(struct server *server)
{
    if (--server->owners > 0)
        return;
    buf_done(&server->late_answer);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}

static void exchange_disown(struct exchange *exchange)
{
    if (--exchange->owners > 0)
        return;
    if (exchange->response != NULL)
        MHD_destroy_response(exchange->response);
    exchange_forget_body(exchange);
    free(exchange->path);
    (void)pthread_mutex_destroy(&exchange->lock);
    server_disown(exchange->server);
    free(exchange);
}

/* ---- answers -------------------------------------------------------------------------------------------------- */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (MHD_add_response_header(response, name, value) != MHD_YES)
        log_error("header %s of an answer could not be added", name);
}

static void add_extra_header(struct MHD_Response *response, const char *line)
{
    char name[64];
    const char *colon = strstr(line, ": ");

    assert(colon != NULL && (size_t)(colon - line) < sizeof name);
    memcpy(name, line, (size_t)(colon - line));
    name[colon - line] = '\0';
    add_header(response, name, colon + 2);
}

static void add_common_headers(const struct exchange *exchange, struct MHD_Response *response)
{
    const char *origin = exchange->server->settings.cors_origin;

    add_header(response, "Cache-Control", "no-store");
    add_header(response, "X-Content-Type-Options", "nosniff");
    if (origin[0] == '\0')
        return;
    add_header(response, "Access-Control-Allow-Origin", origin);
    add_header(response, "Access-Control-Expose-Headers", "Location, Retry-After");
    if (strcmp(origin, "*") != 0)
        add_header(response, "Vary", "Origin");
}

/* Hands a finished response over to the MHD thread.  Ends the handler's ownership. */
static void exchange_finish(struct exchange *exchange, unsigned status, struct MHD_Response *response, uint64_t bytes)
{
    (void)pthread_mutex_lock(&exchange->lock);
    enum exchange_state before = exchange->state;
    assert(before == DISPATCHED || before == SUSPENDED || before == ABANDONED);
    struct MHD_Connection *mhd = exchange->mhd;
    if (before == ABANDONED) {
        MHD_destroy_response(response);
    } else {
        exchange->status = status;
        exchange->response = response;
        exchange->response_bytes = bytes;
        exchange->state = ANSWERED;
    }
    (void)pthread_mutex_unlock(&exchange->lock);
    exchange_disown(exchange);
    if (before == SUSPENDED)
        MHD_resume_connection(mhd); /* alive: only this call lets it go on */
}

static struct MHD_Response *response_from(struct buf *body, uint64_t *ret_bytes)
{
    static char nothing[1];
    struct MHD_Response *response;

    *ret_bytes = body != NULL ? body->len : 0;
    if (*ret_bytes == 0) {
        response = MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    } else {
        response = MHD_create_response_from_buffer(body->len, body->at, MHD_RESPMEM_MUST_FREE);
        *body = (struct buf){ .max = body->max };
    }
    if (response == NULL)
        log_error("no memory for an answer");
    assert(response != NULL);
    return response;
}

void exchange_answer(struct exchange *exchange, unsigned status, const char *content_type, struct buf *body,
                     const char *const *extra_headers)
{
    uint64_t bytes;
    struct MHD_Response *response = response_from(body, &bytes);

    if (bytes > 0)
        add_header(response, "Content-Type", content_type);
    add_common_headers(exchange, response);
    for (; extra_headers != NULL && *extra_headers != NULL; extra_headers++)
        add_extra_header(response, *extra_headers);
    exchange_finish(exchange, status, response, bytes);
}

void exchange_answer_json(struct exchange *exchange, unsigned status, struct buf *body)
{
    exchange_answer(exchange, status, "application/json", body, NULL);
}

/* On the MHD thread, state ANSWERED. */
static enum MHD_Result queue_answer(struct exchange *exchange)
{
    struct server *server = exchange->server;

    assert(exchange->state == ANSWERED || exchange->state == ABANDONED);
    if (exchange->state == ANSWERED)
        exchange->state = QUEUED;
    bool is_upgrade = exchange->status == 101;
    if (!is_upgrade && (exchange->closes || server->is_draining))
        add_header(exchange->response, "Connection", "close");
    connection_enter(server->connections, exchange->connection, CONNECTION_SENDING, exchange->response_bytes);
    metrics_http(exchange->method, exchange->pattern, exchange->status, clock_mono_us() - exchange->born_us);
    enum MHD_Result queued = MHD_queue_response(exchange->mhd, exchange->status, exchange->response);
    MHD_destroy_response(exchange->response);
    exchange->response = NULL;
    return queued;
}

/* ---- a request arrives ---------------------------------------------------------------------------------------- */

static enum MHD_Result on_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                 const char *value, size_t value_len)
{
    (void)kind;
    header_check_line(context, (struct text){ name, name_len }, (struct text){ value, value != NULL ? value_len : 0 });
    return MHD_YES;
}

static enum MHD_Result begin_exchange(struct server *server, struct MHD_Connection *mhd, const char *path,
                                      const char *method, const char *version, void **ret)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct exchange *exchange = calloc(1, sizeof *exchange);
    struct header_check check;

    if (exchange == NULL || info->socket_context == NULL || (exchange->path = strdup(path)) == NULL) {
        free(exchange);
        return MHD_NO;
    }
    exchange->server = server;
    server->owners++;
    exchange->mhd = mhd;
    exchange->connection = info->socket_context;
    exchange->owners = 1;
    exchange->born_us = clock_mono_us();
    exchange->method = route_method_label(text_of(method));
    (void)pthread_mutex_init(&exchange->lock, NULL);
    *ret = exchange;

    header_check_start(&check, text_of(method), connection_target_is_valid(exchange->connection), text_of(version));
    (void)MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, on_header, &check);
    header_check_end(&check);
    exchange_choose(exchange, &check, text_of(method));

    /* Only a body is a reason not to wait for the next call: an answer given here always closes the connection. */
    if (exchange->refusal.status == 0 || !exchange->has_body)
        return MHD_YES;
    exchange->closes = true;
    connection_linger(exchange->connection);
    exchange->state = DISPATCHED;
    exchange->owners++;
    exchange_answer_itself(exchange);
    return queue_answer(exchange);
}

/* The request is whole. */
static enum MHD_Result handle(struct exchange *exchange)
{
    struct server *server = exchange->server;

    connection_enter(server->connections, exchange->connection, CONNECTION_HANDLING, 0);
    exchange->state = DISPATCHED;
    exchange->owners++;
    exchange_list(exchange); /* now, because server->lock comes before the exchange's own */
    if (exchange->route == NULL)
        exchange_answer_itself(exchange);
    else if (server->settings.auth_check == NULL || server->settings.auth_check(exchange, server->settings.context))
        exchange->route->handler(exchange, server->settings.context);

    (void)pthread_mutex_lock(&exchange->lock);
    bool is_suspended = exchange->state == DISPATCHED;
    if (is_suspended) {
        MHD_suspend_connection(exchange->mhd);
        exchange->state = SUSPENDED;
    }
    (void)pthread_mutex_unlock(&exchange->lock);
    if (is_suspended)
        return MHD_YES;
    exchange_unlist(exchange);
    return queue_answer(exchange);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *path, const char *method,
                                  const char *version, const char *upload, size_t *upload_len, void **request)
{
    struct exchange *exchange = *request;

    if (exchange == NULL)
        return begin_exchange(context, mhd, path, method, version, request);
    if (exchange->state == QUEUED)
        return MHD_YES;
    if (*upload_len > 0) {
        bool goes_on = exchange_collect(exchange, upload, *upload_len);
        *upload_len = 0;
        return goes_on ? MHD_YES : MHD_NO;
    }
    if (exchange->state == OPEN)
        return handle(exchange);
    /* Resumed.  The lock makes what the answering thread wrote visible here. */
    (void)pthread_mutex_lock(&exchange->lock);
    bool is_answered = exchange->state == ANSWERED || exchange->state == ABANDONED;
    (void)pthread_mutex_unlock(&exchange->lock);
    if (!is_answered) /* MHD woke it without being asked to; it goes on waiting */
        return MHD_YES;
    exchange_unlist(exchange);
    return queue_answer(exchange);
}

static void on_complete(void *context, struct MHD_Connection *mhd, void **request, enum MHD_RequestTerminationCode code)
{
    struct server *server = context;
    struct exchange *exchange = *request;
    (void)mhd;
    (void)code;

    *request = NULL;
    if (exchange == NULL)
        return;
    exchange_unlist(exchange);
    if (exchange->taken != NULL)
        exchange->taken(exchange->taken_context, NULL, (struct text){ 0 });
    if (connection_phase(exchange->connection) != CONNECTION_UPGRADED)
        connection_enter(server->connections, exchange->connection, CONNECTION_IDLE, 0);
    exchange_disown(exchange);
}

/* The request line as it was sent, before MHD resolves what is percent-encoded. */
static void *on_target(void *context, const char *target, struct MHD_Connection *mhd)
{
    struct server *server = context;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    if (info->socket_context != NULL) {
        connection_enter(server->connections, info->socket_context, CONNECTION_READING, 0);
        connection_set_target_valid(info->socket_context, header_target_is_valid(text_of(target)));
    }
    return NULL;
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        *socket_context = connection_add(server->connections,
                                         MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
    else if (*socket_context != NULL)
        connection_remove(server->connections, *socket_context);
}

/* In place, as MHD wants it.  %00 stays: MHD's own strings end at a NUL, and "/a%00b" must not become "/a". */
static size_t unescape(void *context, struct MHD_Connection *mhd, char *text)
{
    size_t from = 0, to = 0;
    (void)context;
    (void)mhd;

    while (text[from] != '\0') {
        unsigned value = 0;
        if (text[from] == '%' && header_hex_pair(text + from + 1, &value) && value != 0) {
            text[to++] = (char)value;
            from += 3;
        } else {
            text[to++] = text[from++];
        }
    }
    text[to] = '\0';
    return to;
}

/* ---- leaving HTTP --------------------------------------------------------------------------------------------- */

static void on_upgraded(void *context, struct MHD_Connection *mhd, void *request, const char *already_read,
                        size_t already_read_len, MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    struct exchange *exchange = request;
    struct server *server = context;
    struct upgraded *upgraded = calloc(1, sizeof *upgraded);
    (void)mhd;

    if (upgraded == NULL) {
        (void)MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
        return; /* on_complete tells `taken` */
    }
    *upgraded = (struct upgraded){ .handle = handle, .server = server, .fd = fd };
    server->upgraded_len++;
    connection_enter(server->connections, exchange->connection, CONNECTION_UPGRADED, 0);
    exchange_taken *taken = exchange->taken;
    exchange->taken = NULL;
    taken(exchange->taken_context, upgraded, (struct text){ already_read, already_read_len });
}

int upgraded_fd(const struct upgraded *upgraded)
{
    return upgraded->fd;
}

void upgraded_close(struct upgraded *upgraded)
{
    struct server *server = upgraded->server;

    (void)shutdown(upgraded->fd, SHUT_RDWR);
    (void)MHD_upgrade_action(upgraded->handle, MHD_UPGRADE_ACTION_CLOSE);
    free(upgraded);
    server->upgraded_len--;
}

void exchange_upgrade_websocket(struct exchange *exchange, const char *accept, exchange_taken *taken, void *context)
{
    struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgraded, exchange->server);

    if (response == NULL)
        log_error("no memory for an answer");
    assert(response != NULL);
    add_header(response, "Upgrade", "websocket");
    add_header(response, "Sec-WebSocket-Accept", accept);
    exchange->taken = taken;
    exchange->taken_context = context;
    exchange_finish(exchange, 101, response, 0);
}

/* ---- begin and end -------------------------------------------------------------------------------------------- */

static void on_log(void *context, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));

static void on_log(void *context, const char *fmt, va_list args)
{
    char line[256];
    (void)context;

    (void)vsnprintf(line, sizeof line, fmt, args);
    log_debug("libmicrohttpd: %s", line);
}

static int start_daemon(struct server *server, struct error *err)
{
    const struct server_settings *settings = &server->settings;

    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, server->listen_fd,
        MHD_OPTION_NOTIFY_COMPLETED, on_complete, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, server, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)settings->connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)settings->connections_ip_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)settings->idle_s,
        /* From 1.0 on it judges heads itself; unless strict it redirects a target with a blank to what may be meant. */
        MHD_OPTION_STRICT_FOR_CLIENT, (int)(MHD_VERSION >= 0x01000000), MHD_OPTION_END);
    if (server->daemon == NULL)
        return error_set(err, ERROR_SETUP, errno, "start the HTTP server on %s", settings->listen);
    return 0;
}

static void server_end(struct server *server)
{
    connections_close(server->connections);
    cleanup_close(&server->listen_fd);
    server_disown(server);
}

int server_start(const struct server_settings *settings, struct server **ret, struct error *err)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "start the HTTP server");
    server->settings = *settings;
    server->settings.connections_max = connections_possible(settings->connections_max);
    if (server->settings.idle_s == 0)
        server->settings.idle_s = IDLE_S_DEFAULT;
    if (server->settings.bodies_bytes_max == 0)
        server->settings.bodies_bytes_max = BODIES_BYTES_DEFAULT;
    settings = &server->settings;
    server->owners = 1;
    server->listen_fd = -1;
    (void)pthread_mutex_init(&server->lock, NULL);
    buf_init(&server->late_answer, ANSWER_BYTES_MAX);
    struct connections_settings subscriptions = { .deadline_s = settings->deadline_s, .idle_s = settings->idle_s };
    if (answer_raw(408, "the request did not arrive whole in time", settings->cors_origin, &server->late_answer, err) <
        0)
        goto undo;
    subscriptions.late_answer = buf_text(&server->late_answer);
    if (listen_open(settings->listen, &server->listen_fd, &server->port, err) < 0 ||
        connections_open(&subscriptions, &server->connections, err) < 0 || start_daemon(server, err) < 0)
        goto undo;
    *ret = server;
    return 0;

undo:
    server_end(server);
    return -1;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

static void sleep_ms(long ms)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/* Waits until every connection that is still HTTP has ended; at most until `until_us`. */
static void wait_for_connections(struct server *server, uint64_t until_us)
{
    while (connections_count(server->connections) > 0 && clock_mono_us() < until_us) {
        connections_shut(server->connections, false);
        sleep_ms(5);
    }
}

/* With a 503 in place of the answers that did not come.  Their handlers may still answer; it will do nothing. */
static void abandon_suspended(struct server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    for (struct exchange *at = server->kept; at != NULL; at = at->suspended_next) {
        (void)pthread_mutex_lock(&at->lock);
        if (at->state == SUSPENDED) {
            struct buf body;
            struct error err;
            uint64_t bytes;
            buf_init(&body, ANSWER_BYTES_MAX);
            (void)answer_error(answer_code(503), "the server is stopping", "", &body, &err);
            at->response = response_from(&body, &bytes);
            add_header(at->response, "Content-Type", "application/json");
            add_header(at->response, "Retry-After", "1");
            add_common_headers(at, at->response);
            at->status = 503;
            at->response_bytes = bytes;
            at->state = ABANDONED;
            MHD_resume_connection(at->mhd);
        }
        (void)pthread_mutex_unlock(&at->lock);
    }
    (void)pthread_mutex_unlock(&server->lock);
}

static bool has_suspended(struct server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    bool has = server->kept != NULL;
    (void)pthread_mutex_unlock(&server->lock);
    return has;
}

void server_drain(struct server *server)
{
    if (atomic_exchange(&server->is_draining, true))
        return;
    (void)MHD_quiesce_daemon(server->daemon);
    /* Not closed yet: the MHD thread may be about to accept, and the number must not mean another file then. */
    (void)shutdown(server->listen_fd, SHUT_RDWR);
}

void server_stop(struct server *server, uint64_t drain_ms)
{
    if (server == NULL)
        return;

    server_drain(server);
    wait_for_connections(server, clock_mono_us() + drain_ms * 1000u);

    /* MHD must not be stopped while one of its connections is suspended. */
    while (has_suspended(server)) {
        abandon_suspended(server);
        sleep_ms(5);
    }
    wait_for_connections(server, clock_mono_us() + LAST_WORDS_MS * 1000u);
    connections_shut(server->connections, true);
    while (server->upgraded_len > 0)
        sleep_ms(5);
    MHD_stop_daemon(server->daemon);
    server_end(server);
}
