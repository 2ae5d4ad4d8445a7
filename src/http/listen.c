/*
 * listen: opens the listening socket ourselves rather than by libmicrohttpd, so that a failure can be told in words,
 * any address can be named, and port 0 works.
 */
#include "http/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "config/config.h"

#define BACKLOG 1024

/* What may help. */
static const char *advice(int os)
{
    switch (os) {
    case EADDRINUSE:
        return " (another program is there; EVALX_LISTEN=ADDRESS:PORT names another port)";
    case EADDRNOTAVAIL:
        return " (this machine has no such address; EVALX_LISTEN=:PORT takes all that it has)";
    case EACCES:
        return " (ports below 1024 need a right of their own; EVALX_LISTEN=ADDRESS:PORT names another)";
    }
    return "";
}

static int open_at(const struct addrinfo *at, const char *listen_at, int *ret_fd, struct error *err)
{
    static const int on = 1, off = 0;
    auto_close int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "make a socket for %s", listen_at);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return error_set(err, ERROR_SETUP, errno, "listen on %s%s", listen_at, advice(errno));
    *ret_fd = take_fd(&fd);
    return 0;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

int listen_open(const char *listen, int *ret_fd, uint16_t *ret_port, struct error *err)
{
    char host[64], service[8];
    uint16_t port;
    struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;

    if (config_split_listen(listen, host, &port, err) < 0)
        return -1;
    (void)snprintf(service, sizeof service, "%u", port);
    int why = getaddrinfo(host[0] != '\0' ? host : NULL, service, &hints, &found);
    if (why != 0)
        return error_set(err, ERROR_SETUP, 0, "listen on %s: %s", listen, gai_strerror(why));

    /* The first address that works; "::" takes IPv4 too. */
    int opened = error_set(err, ERROR_SETUP, 0, "listen on %s: no address", listen);
    for (const struct addrinfo *at = found; at != NULL && opened < 0; at = at->ai_next)
        opened = open_at(at, listen, ret_fd, err);
    freeaddrinfo(found);
    if (opened < 0)
        return -1;
    *ret_port = port_of(*ret_fd);
    return 0;
}
