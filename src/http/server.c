/*
 * server: all contact with libmicrohttpd ("MHD" below), except that response.c makes responses.
 *
 * Theory of operation.  One MHD thread runs an epoll loop.  For each request it calls
 *
 *   on_target    when the request line was read           (phase READING begins)
 *   on_request   first call: the headers were read        -> begin_exchange: all checks, the route, 413 before a body
 *   on_request   with bytes of the body, any number       -> admission_add_body
 *   on_request   without bytes: the request is complete   -> dispatch: the route's handler
 *   on_complete  the response was sent, or the client disconnected (phase IDLE begins)
 *
 * If the handler responds inside its call, everything happens on the MHD thread.  Otherwise MHD suspends the
 * connection.  Whichever thread calls exchange_respond later builds the response and resumes the connection; MHD then
 * calls on_request once more to fetch it.
 *
 * An exchange has two owners: MHD's side until on_complete, and the handler's side until exchange_respond.  The last
 * one frees it.  Its lock guards `state`:
 *
 *   OPEN -> DISPATCHED -> SUSPENDED -> RESPONDED -> QUEUED   the handler responded later
 *           DISPATCHED --------------> RESPONDED -> QUEUED   the handler responded inside its call
 *                         SUSPENDED -> ABANDONED             the server stopped first and responded with 503
 *
 * MHD (0.9.75) accepts no response while a body is arriving.  A chunked body that exceeds its limit is therefore
 * refused by writing the response to the socket and telling MHD to close it; MHD is not sending at that point.
 */
#include "http/server.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sync.h"
#include "http/server_internal.h"

/*
 * Bounds the head of a request.  Above 32 KiB MHD maps and unmaps the memory of each connection, which adds 20 us of
 * processor time to a request on a connection of its own.
 */
#define CONNECTION_MEMORY_BYTES 32768
#define SMALL_ANSWER_BYTES 4096 /* smaller responses are always sent, errors among them */

struct upgraded {
    struct MHD_UpgradeResponseHandle *handle;
    struct server *server;
    int fd;
};

/* ---- reading a request ---------------------------------------------------------------------------------------- */

bool exchange_header(const struct exchange *exchange, const char *name, struct text *ret_value)
{
    const char *value = NULL;
    size_t len = 0;

    if (MHD_lookup_connection_value_n(exchange->mhd, MHD_HEADER_KIND, name, strlen(name), &value, &len) != MHD_YES)
        return false;
    *ret_value = header_trim((struct text){ value, value != NULL ? len : 0 });
    return true;
}

/* ---- ownership ------------------------------------------------------------------------------------------------ */

void server_release(struct server *server)
{
    if (--server->owners > 0)
        return;
    buf_done(&server->late_response);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}

static void exchange_release(struct exchange *exchange)
{
    if (--exchange->owners > 0)
        return;
    if (exchange->response != NULL)
        MHD_destroy_response(exchange->response);
    exchange_release_body(exchange);
    query_done(&exchange->query);
    free(exchange->target);
    (void)pthread_mutex_destroy(&exchange->lock);
    server_release(exchange->server);
    free(exchange);
}

/* The list of dispatched and suspended exchanges, for server_abandon_suspended.  HTTP thread. */
static void exchange_list(struct exchange *exchange)
{
    struct server *server = exchange->server;

    lock_guard(&server->lock);
    exchange->is_listed = true;
    exchange->next = server->dispatched;
    if (server->dispatched != NULL)
        server->dispatched->previous = exchange;
    server->dispatched = exchange;
}

static void exchange_unlist(struct exchange *exchange)
{
    struct server *server = exchange->server;

    if (!exchange->is_listed)
        return;
    lock_guard(&server->lock);
    exchange->is_listed = false;
    if (exchange->previous != NULL)
        exchange->previous->next = exchange->next;
    else
        server->dispatched = exchange->next;
    if (exchange->next != NULL)
        exchange->next->previous = exchange->previous;
}

/* ---- responses ------------------------------------------------------------------------------------------------ */

/* Passes a finished response to the MHD thread, and drops the handler's ownership. */
static void exchange_finish(struct exchange *exchange, unsigned status, struct MHD_Response *response, uint64_t bytes)
{
    struct MHD_Connection *mhd = exchange->mhd;

    exchange_release_body(exchange); /* a slow reader shall not hold it */
    mutex_lock(&exchange->lock);
    enum exchange_state before = exchange->state;
    assert(before == EXCHANGE_DISPATCHED || before == EXCHANGE_SUSPENDED || before == EXCHANGE_ABANDONED);
    if (before == EXCHANGE_ABANDONED) {
        MHD_destroy_response(response);
    } else {
        exchange->status = status;
        exchange->response = response;
        exchange->response_bytes = bytes;
        exchange->state = EXCHANGE_RESPONDED;
    }
    mutex_unlock(&exchange->lock);
    exchange_release(exchange);
    if (before == EXCHANGE_SUSPENDED)
        MHD_resume_connection(mhd); /* still valid: nothing else resumes it */
}

void exchange_respond(struct exchange *exchange, unsigned status, const char *content_type, struct buf *body,
                      const char *const *extra_headers)
{
    uint64_t bytes = body != NULL ? body->len : 0;

    if (bytes > SMALL_ANSWER_BYTES && !exchange_answer_fits(exchange, body->cap)) {
        struct error err;
        buf_done(body);
        error_set(&err, ERROR_BUSY, 0, "too many large responses are being sent; try again in a moment");
        exchange_respond_error_with(exchange, &err, extra_headers);
        return;
    }
    exchange_finish(exchange, status, response_of_buf(exchange->server, body, content_type, extra_headers), bytes);
}

void exchange_respond_shared(struct exchange *exchange, unsigned status, const char *content_type,
                             struct shared_body *body, size_t from, size_t len, const char *const *extra_headers)
{
    exchange_finish(exchange, status,
                    response_of_shared(exchange->server, body, from, len, content_type, extra_headers), len);
}

static void respond_without_handler(struct exchange *exchange)
{
    struct admission_response response;

    admission_respond(exchange, &response);
    exchange_respond(exchange, response.status, "application/json", &response.body, response.headers);
}

/* On the MHD thread, after exchange_finish or server_abandon_suspended. */
static enum MHD_Result queue_response(struct exchange *exchange)
{
    struct server *server = exchange->server;
    bool is_upgrade = exchange->status == 101;

    assert(exchange->state == EXCHANGE_RESPONDED || exchange->state == EXCHANGE_ABANDONED);
    if (exchange->state == EXCHANGE_RESPONDED)
        exchange->state = EXCHANGE_QUEUED;
    if (!is_upgrade && (exchange->closes || server->is_draining))
        response_add_header(exchange->response, "Connection", "close");
    connection_enter(server->connections, exchange->connection, CONNECTION_SENDING, exchange->response_bytes);
    if (server->settings.on_response != NULL)
        server->settings.on_response(exchange->method, exchange->pattern, exchange->status,
                                     clock_mono_us() - exchange->born_us);
    enum MHD_Result queued = MHD_queue_response(exchange->mhd, exchange->status, exchange->response);
    MHD_destroy_response(exchange->response);
    exchange->response = NULL;
    return queued;
}

bool server_abandon_suspended(struct server *server)
{
    static const char *const headers[] = { "Retry-After: 1", NULL };

    lock_guard(&server->lock);
    for (struct exchange *at = server->dispatched; at != NULL; at = at->next) {
        lock_guard(&at->lock);
        if (at->state != EXCHANGE_SUSPENDED)
            continue;
        struct buf body;
        struct error err;
        buf_init(&body, ERROR_BODY_BYTES_MAX);
        (void)error_response_body(error_response_code(503), "the server is stopping", "", &body, &err);
        at->response_bytes = body.len;
        at->response = response_of_buf(server, &body, "application/json", headers);
        at->status = 503;
        at->state = EXCHANGE_ABANDONED;
        MHD_resume_connection(at->mhd);
    }
    return server->dispatched != NULL;
}

/* ---- callbacks of MHD, on its thread -------------------------------------------------------------------------- */

struct head_walk {
    struct header_check check;
    const char *end; /* of the text before this line */
    bool has_gap;
};

/*
 * MHD ends each line of a head with a NUL, in place, and passes values as strings.  So a NUL inside a line hides the
 * rest of it from us, but not from a proxy.  Such a line leaves a gap of more than its CR LF.
 */
static void check_gap(struct head_walk *walk, const char *next, size_t line_ends)
{
    ptrdiff_t gap = next - walk->end;

    if (gap < (ptrdiff_t)line_ends || gap > (ptrdiff_t)(2 * line_ends))
        walk->has_gap = true;
}

static enum MHD_Result on_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                 const char *value, size_t value_len)
{
    struct head_walk *walk = context;
    (void)kind;

    header_check_line(&walk->check, (struct text){ name, name_len },
                      (struct text){ value, value != NULL ? value_len : 0 });
    check_gap(walk, name, 1);
    walk->end = value != NULL ? value + value_len : name + name_len;
    return MHD_YES;
}

static void check_head(struct exchange *exchange, const char *method, const char *version)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct head_walk walk = { .end = version + strlen(version) };

    header_check_start(&walk.check, text_of(method), exchange->target_is_valid, text_of(version));
    (void)MHD_get_connection_values_n(exchange->mhd, MHD_HEADER_KIND, on_header, &walk);
    check_gap(&walk, method + info->header_size, 2);
    /* MHD 1.0 refuses a NUL itself, and its lines may move. */
    if (MHD_VERSION < 0x01000000 && walk.has_gap && walk.check.refusal.status == 0)
        walk.check.refusal = (struct refusal){ 400, "", "the head contains a NUL or a folded line", NULL };
    header_check_end(&walk.check);
    admission_check_head(exchange, &walk.check, text_of(method));
}

/* The headers were read. */
static enum MHD_Result begin_exchange(struct exchange *exchange, const char *target, const char *method,
                                      const char *version)
{
    exchange->has_head = true;
    exchange->target = strdup(target);
    if (exchange->target == NULL)
        return MHD_NO;
    exchange->path = header_target_path(exchange->target, &exchange->host);
    exchange->method = route_method_label(text_of(method));
    check_head(exchange, method, version);

    /* Refuse now only to avoid reading a body: a response at this point always closes the connection. */
    if (exchange->refusal.status == 0 || !exchange->has_body)
        return MHD_YES;
    exchange->closes = true;
    connection_linger(exchange->connection);
    exchange->state = EXCHANGE_DISPATCHED;
    exchange->owners++;
    respond_without_handler(exchange);
    return queue_response(exchange);
}

/* The request is complete. */
static enum MHD_Result dispatch(struct exchange *exchange)
{
    struct server *server = exchange->server;

    connection_enter(server->connections, exchange->connection, CONNECTION_HANDLING, 0);
    exchange->state = EXCHANGE_DISPATCHED;
    exchange->owners++;
    exchange_list(exchange); /* before the exchange's own lock is taken: server->lock comes first */
    if (exchange->route == NULL)
        respond_without_handler(exchange);
    else if (server->settings.auth_check == NULL || server->settings.auth_check(exchange, server->settings.context))
        exchange->route->handler(exchange, server->settings.context);

    mutex_lock(&exchange->lock);
    bool has_response = exchange->state == EXCHANGE_RESPONDED;
    mutex_unlock(&exchange->lock);
    if (!has_response) /* MHD asks again in its next round */
        return MHD_YES;
    exchange_unlist(exchange);
    return queue_response(exchange);
}

/*
 * MHD asks for the response: in the round after `dispatch`, and when the connection was resumed.
 *
 * The connection is suspended only in that next round.  In the round of `dispatch` MHD still expects to read from it.
 * It would do so first after the resume, and close the connection if the client has shut down its sending side.
 */
static enum MHD_Result await_response(struct exchange *exchange)
{
    mutex_lock(&exchange->lock);
    /* The lock makes the response, written by another thread, visible here. */
    bool has_response = exchange->state == EXCHANGE_RESPONDED || exchange->state == EXCHANGE_ABANDONED;
    if (exchange->state == EXCHANGE_DISPATCHED) {
        MHD_suspend_connection(exchange->mhd);
        exchange->state = EXCHANGE_SUSPENDED;
    }
    mutex_unlock(&exchange->lock);
    if (!has_response) /* suspended, or a spurious wake-up by MHD */
        return MHD_YES;
    exchange_unlist(exchange);
    return queue_response(exchange);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *target, const char *method,
                                  const char *version, const char *upload, size_t *upload_len, void **request)
{
    struct exchange *exchange = *request;
    (void)context;
    (void)mhd;

    if (exchange == NULL) /* memory ran out in on_target */
        return MHD_NO;
    if (!exchange->has_head)
        return begin_exchange(exchange, target, method, version);
    if (exchange->state == EXCHANGE_QUEUED)
        return MHD_YES;
    if (*upload_len > 0) {
        bool continues = admission_add_body(exchange, upload, *upload_len);
        *upload_len = 0;
        return continues ? MHD_YES : MHD_NO;
    }
    return exchange->state == EXCHANGE_OPEN ? dispatch(exchange) : await_response(exchange);
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
    if (exchange->on_upgraded != NULL)
        exchange->on_upgraded(exchange->upgraded_context, NULL, (struct text){ 0 });
    if (connection_phase(exchange->connection) != CONNECTION_UPGRADED)
        connection_enter(server->connections, exchange->connection, CONNECTION_IDLE, 0);
    exchange_release(exchange);
}

/*
 * `target` is as it was sent, before percent-decoding.  What this returns becomes *request of on_request.
 *
 * The query is cut off, so that MHD finds no parameters: see query.h.
 */
static void *on_target(void *context, const char *target, struct MHD_Connection *mhd)
{
    struct server *server = context;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct exchange *exchange = info->socket_context != NULL ? calloc(1, sizeof *exchange) : NULL;
    char *query = strchr(target, '?');

    if (exchange == NULL || (query != NULL && query_init(&exchange->query, text_of(query + 1)) < 0)) {
        free(exchange);
        return NULL;
    }
    exchange->server = server;
    server->owners++;
    exchange->mhd = mhd;
    exchange->connection = info->socket_context;
    exchange->owners = 1;
    exchange->born_us = clock_mono_us();
    /* A NUL would hide the rest of the target from us: the version must follow. */
    exchange->target_is_valid =
        header_target_is_valid(text_of(target)) && strncmp(target + strlen(target) + 1, "HTTP/", 5) == 0;
    mutex_init(&exchange->lock);
    connection_enter(server->connections, exchange->connection, CONNECTION_READING, 0);
    if (query != NULL)
        query[1] = '\0';
    return exchange;
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = context;

    if (!server->thread_has_name) { /* MHD starts the thread itself, so this is the first chance */
        (void)pthread_setname_np(pthread_self(), "http");
        server->thread_has_name = true;
    }
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        *socket_context = connection_add(server->connections,
                                         MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
    else if (*socket_context != NULL)
        connection_remove(server->connections, *socket_context);
}

static size_t on_unescape(void *context, struct MHD_Connection *mhd, char *text)
{
    (void)context;
    (void)mhd;
    return header_percent_decode(text);
}

static void on_log(void *context, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));

static void on_log(void *context, const char *fmt, va_list args)
{
    char line[256];
    (void)context;

    (void)vsnprintf(line, sizeof line, fmt, args);
    log_debug("libmicrohttpd: %s", line);
}

/* ---- upgrades ------------------------------------------------------------------------------------------------- */

static void on_upgrade(void *context, struct MHD_Connection *mhd, void *request, const char *already_read,
                       size_t already_read_len, MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    struct exchange *exchange = request;
    struct server *server = context;
    struct upgraded *upgraded = calloc(1, sizeof *upgraded);
    (void)mhd;

    if (upgraded == NULL) {
        (void)MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
        return; /* on_complete calls on_upgraded with NULL */
    }
    *upgraded = (struct upgraded){ .handle = handle, .server = server, .fd = fd };
    server->upgraded_len++;
    connection_enter(server->connections, exchange->connection, CONNECTION_UPGRADED, 0);
    exchange_upgraded *on_upgraded = exchange->on_upgraded;
    exchange->on_upgraded = NULL;
    on_upgraded(exchange->upgraded_context, upgraded, (struct text){ already_read, already_read_len });
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

void exchange_upgrade_websocket(struct exchange *exchange, const char *accept, exchange_upgraded *on_upgraded,
                                void *context)
{
    struct MHD_Response *response = response_or_abort(MHD_create_response_for_upgrade(on_upgrade, exchange->server));

    response_add_header(response, "Upgrade", "websocket");
    response_add_header(response, "Sec-WebSocket-Accept", accept);
    exchange->on_upgraded = on_upgraded;
    exchange->upgraded_context = context;
    exchange_finish(exchange, 101, response, 0);
}

/* ---- the MHD daemon ------------------------------------------------------------------------------------------- */

int server_start_daemon(struct server *server, struct error *err)
{
    const struct server_settings *settings = &server->settings;

    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, server->listen_fd,
        MHD_OPTION_NOTIFY_COMPLETED, on_complete, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, server, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)settings->connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)settings->connections_ip_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)settings->idle_s,
        /* MHD 1.0 checks heads itself; unless strict, it redirects a target with a blank to a guessed one. */
        MHD_OPTION_STRICT_FOR_CLIENT, (int)(MHD_VERSION >= 0x01000000), MHD_OPTION_END);
    if (server->daemon == NULL)
        return error_set(err, ERROR_SETUP, errno, "start the HTTP server");
    return 0;
}

void server_stop_accepting(struct server *server)
{
    (void)MHD_quiesce_daemon(server->daemon);
    /* Not closed yet: the MHD thread may be about to accept, and the number must not refer to another file then. */
    (void)shutdown(server->listen_fd, SHUT_RDWR);
}

void server_stop_daemon(struct server *server)
{
    MHD_stop_daemon(server->daemon);
}
