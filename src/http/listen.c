/*
 * listen: opens the socket itself rather than through libmicrohttpd, which has no useful error messages, no named
 * addresses and no port 0.
 */
#include "http/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#define BACKLOG 1024

static const char *advice(int os)
{
    switch (os) {
    case EADDRINUSE:
        return " (another program uses this port; choose another with EVALX_LISTEN=ADDRESS:PORT)";
    case EADDRNOTAVAIL:
        return " (this machine does not have this address; EVALX_LISTEN=:PORT listens on all it has)";
    case EACCES:
        return " (ports below 1024 need a capability; choose another with EVALX_LISTEN=ADDRESS:PORT)";
    }
    return "";
}

static int listen_at(const struct addrinfo *at, const char *name, int *ret_fd, struct error *err)
{
    static const int on = 1, off = 0;
    auto_close int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "create a socket for %s", name);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return error_set(err, ERROR_SETUP, errno, "listen on %s%s", name, advice(errno));
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

int listen_open(const char *host, uint16_t port, int *ret_fd, uint16_t *ret_port, struct error *err)
{
    char service[8], name[80];
    struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;

    (void)snprintf(service, sizeof service, "%u", port);
    (void)snprintf(name, sizeof name, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
    int why = getaddrinfo(host[0] != '\0' ? host : NULL, service, &hints, &found);
    if (why != 0)
        return error_set(err, ERROR_SETUP, 0, "listen on %s: %s", name, gai_strerror(why));

    /* The first address that works; "::" includes IPv4. */
    int opened = error_set(err, ERROR_SETUP, 0, "listen on %s: no address", name);
    for (const struct addrinfo *at = found; at != NULL && opened < 0; at = at->ai_next)
        opened = listen_at(at, name, ret_fd, err);
    freeaddrinfo(found);
    if (opened < 0)
        return -1;
    *ret_port = port_of(*ret_fd);
    return 0;
}
