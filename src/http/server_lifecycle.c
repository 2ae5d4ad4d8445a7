/*
 * server_lifecycle: start, liveness probe, drain and stop.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/sync.h"
#include "http/listen.h"
#include "http/server_internal.h"

#define IDLE_S_DEFAULT 60
#define BODIES_BYTES_DEFAULT (256u << 20) /* or an eighth of the memory */
#define ANSWERS_BYTES_DEFAULT (256u << 20)
#define LAST_RESPONSES_US 1000000u /* after the deadline, for sending the 503s */

/* ---- start ---------------------------------------------------------------------------------------------------- */

static void server_end(struct server *server)
{
    connections_close(server->connections);
    cleanup_close(&server->listen_fd);
    server_release(server);
}

int server_start(const struct server_settings *settings, struct server **ret, struct error *err)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "start the HTTP server");

    server->settings = *settings;
    server->settings.host = NULL;
    server->settings.connections_max = connections_possible(settings->connections_max, settings->descriptors_reserved);
    if (server->settings.connections_ip_max == 0)
        server->settings.connections_ip_max = server->settings.connections_max - server->settings.connections_max / 4;
    if (server->settings.idle_s == 0)
        server->settings.idle_s = IDLE_S_DEFAULT;
    if (server->settings.bodies_bytes_max == 0)
        server->settings.bodies_bytes_max = memory_budget(BODIES_BYTES_DEFAULT);
    if (server->settings.answers_bytes_max == 0)
        server->settings.answers_bytes_max = memory_budget(ANSWERS_BYTES_DEFAULT);
    server->owners = 1;
    server->listen_fd = -1;
    mutex_init(&server->lock);
    buf_init(&server->late_response, ERROR_BODY_BYTES_MAX);
    if (error_response_raw(408, "the complete request did not arrive in time", settings->cors_origin,
                           &server->late_response, err) < 0)
        goto undo;
    struct connections_settings deadlines = {
        .deadline_s = settings->deadline_s,
        .idle_s = server->settings.idle_s,
        .connections_max = server->settings.connections_max,
        .late_response = buf_text(&server->late_response),
    };
    if (listen_open(settings->host, settings->port, &server->listen_fd, &server->port, err) < 0 ||
        connections_open(&deadlines, &server->connections, err) < 0 || server_start_daemon(server, err) < 0)
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

/* ---- liveness probe ------------------------------------------------------------------------------------------- */

/* The address on which the server listens, with the loopback address in place of "any address". */
static int own_address(const struct server *server, struct sockaddr_storage *ret, socklen_t *ret_len)
{
    *ret_len = sizeof *ret;
    if (getsockname(server->listen_fd, (struct sockaddr *)ret, ret_len) < 0)
        return -1;
    struct sockaddr_in *ip4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *ip6 = (struct sockaddr_in6 *)ret;
    if (ret->ss_family == AF_INET && ip4->sin_addr.s_addr == htonl(INADDR_ANY))
        ip4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (ret->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&ip6->sin6_addr))
        ip6->sin6_addr = in6addr_loopback;
    return 0;
}

static bool poll_until(int fd, short events, uint64_t deadline_us)
{
    struct pollfd polled = { .fd = fd, .events = events };
    uint64_t now_us;

    while ((now_us = clock_mono_us()) < deadline_us) {
        int found = poll(&polled, 1, (int)((deadline_us - now_us) / 1000 + 1));
        if (found > 0)
            return true;
        if (found < 0 && errno != EINTR)
            return false;
    }
    return false;
}

/*
 * A real connection, because the state of the threads would only show that they exist.  Any reaction counts: a
 * response, or a connection that is closed at once, as MHD does above its limit per address.  At its limit of
 * connections MHD accepts none; such a server is busy and counts as alive.
 */
bool server_is_responsive(struct server *server, uint32_t wait_ms)
{
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    uint64_t deadline_us = clock_mono_us() + wait_ms * UINT64_C(1000);
    struct sockaddr_storage address;
    socklen_t address_len;
    char byte;

    if (connections_count(server->connections) >= server->settings.connections_max)
        return true;
    if (own_address(server, &address, &address_len) < 0)
        return false;
    auto_close int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno == EMFILE || errno == ENFILE; /* busy, as above */
    if (connect(fd, (struct sockaddr *)&address, address_len) < 0 && errno != EINPROGRESS)
        return false;
    if (!poll_until(fd, POLLOUT, deadline_us))
        return false;
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
        return errno == EPIPE || errno == ECONNRESET;
    return poll_until(fd, POLLIN, deadline_us) && (recv(fd, &byte, 1, 0) >= 0 || errno == ECONNRESET);
}

/* ---- drain and stop ------------------------------------------------------------------------------------------- */

static void sleep_ms(long ms)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/* Waits until every HTTP connection has ended, at most until the deadline.  Idle ones are closed at once. */
static void wait_for_connections(struct server *server, uint64_t deadline_us)
{
    while (connections_count(server->connections) > 0 && clock_mono_us() < deadline_us) {
        connections_shut(server->connections, false);
        sleep_ms(5);
    }
}

void server_drain(struct server *server)
{
    if (!atomic_exchange(&server->is_draining, true))
        server_stop_accepting(server);
}

void server_stop(struct server *server, uint64_t deadline_us)
{
    if (server == NULL)
        return;

    server_drain(server);
    wait_for_connections(server, deadline_us);
    /* MHD must not be stopped while one of its connections is suspended. */
    while (server_abandon_suspended(server))
        sleep_ms(5);
    wait_for_connections(server, clock_mono_us() + LAST_RESPONSES_US);
    connections_shut(server->connections, true);
    while (server->upgraded_len > 0)
        sleep_ms(5);
    server_stop_daemon(server);
    server_end(server);
}
