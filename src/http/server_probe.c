/*
 * server_probe: does the server still answer?  Asked as a client asks, by a connection to its own port: what a look at
 * its threads could say is that they exist.
 *
 * Any sign counts: an answer, but also a connection that is closed at once, as libmicrohttpd does beyond its limit for
 * an address.  At its limit of connections it accepts none; a server that full is busy, and is taken to live.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "http/exchange.h"

/* Where the server listens, with the loopback in place of "any address". */
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

static bool wait_for(int fd, short events, uint64_t until_us)
{
    struct pollfd polled = { .fd = fd, .events = events };
    uint64_t now_us;

    while ((now_us = clock_mono_us()) < until_us) {
        int found = poll(&polled, 1, (int)((until_us - now_us) / 1000 + 1));
        if (found > 0)
            return true;
        if (found < 0 && errno != EINTR)
            return false;
    }
    return false;
}

bool server_answers(struct server *server, uint32_t wait_ms)
{
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    uint64_t until_us = clock_mono_us() + wait_ms * UINT64_C(1000);
    struct sockaddr_storage address;
    socklen_t address_len;
    char byte;

    if (connections_count(server->connections) >= server->settings.connections_max)
        return true;
    if (own_address(server, &address, &address_len) < 0)
        return false;
    auto_close int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno == EMFILE || errno == ENFILE; /* as above: full, not dead */
    if (connect(fd, (struct sockaddr *)&address, address_len) < 0 && errno != EINPROGRESS)
        return false;
    if (!wait_for(fd, POLLOUT, until_us))
        return false;
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
        return errno == EPIPE || errno == ECONNRESET;
    /* An answer, its end, or a reset: somebody was there. */
    return wait_for(fd, POLLIN, until_us) && (recv(fd, &byte, 1, 0) >= 0 || errno == ECONNRESET);
}
