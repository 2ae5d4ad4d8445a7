/* cutter: see cutter.h.  A thread for each connection; a failure of the proxy itself aborts the test program. */
#include "cutter.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair {
    struct cutter *cutter;
    int client, server;
};

static int connect_to(int port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        abort();
    if (connect(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* False: the connection has ended. */
static bool forward(int from, int to, char bytes[65536], ssize_t *ret_len)
{
    *ret_len = recv(from, bytes, 65536, 0);
    return *ret_len > 0 && send(to, bytes, (size_t)*ret_len, MSG_NOSIGNAL) == *ret_len;
}

static void *serve_pair(void *context)
{
    struct pair *pair = context;
    static _Thread_local char bytes[65536];
    bool must_cut = false;
    while (true) {
        struct pollfd fds[] = { { .fd = pair->client, .events = POLLIN }, { .fd = pair->server, .events = POLLIN } };
        ssize_t len = 0;
        if (poll(fds, 2, -1) < 0)
            break;
        if (fds[1].revents != 0) {
            if (must_cut) {
                len = recv(pair->server, bytes, sizeof bytes, 0);
                int kept = atomic_load(&pair->cutter->kept);
                if (len > 0 && kept > 0)
                    (void)send(pair->client, bytes, (size_t)(kept < len ? kept : len - 1), MSG_NOSIGNAL);
                atomic_fetch_add(&pair->cutter->cuts_made, 1);
                break;
            }
            if (!forward(pair->server, pair->client, bytes, &len))
                break;
        }
        if (fds[0].revents != 0) {
            if (!forward(pair->client, pair->server, bytes, &len))
                break;
            if (memmem(bytes, (size_t)len, "EVAL", 4) != NULL && atomic_load(&pair->cutter->cuts) > 0) {
                atomic_fetch_sub(&pair->cutter->cuts, 1);
                must_cut = true;
            }
        }
    }
    (void)close(pair->client);
    (void)close(pair->server);
    free(pair);
    return NULL;
}

static void *accept_loop(void *context)
{
    struct cutter *cutter = context;
    while (true) {
        int client = accept(cutter->listen_fd, NULL, NULL);
        int server = client >= 0 ? connect_to(cutter->server_port) : -1;
        if (client < 0)
            continue;
        if (server < 0) {
            (void)close(client);
            continue;
        }
        struct pair *pair = malloc(sizeof *pair);
        pthread_t thread;
        if (pair == NULL)
            abort();
        *pair = (struct pair){ cutter, client, server };
        if (pthread_create(&thread, NULL, serve_pair, pair) != 0 || pthread_detach(thread) != 0)
            abort();
    }
    return NULL;
}

void cutter_start(struct cutter *cutter, int server_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof at;
    pthread_t thread;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *cutter = (struct cutter){ .server_port = server_port };
    cutter->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (cutter->listen_fd < 0 || bind(cutter->listen_fd, (struct sockaddr *)&at, len) < 0 ||
        getsockname(cutter->listen_fd, (struct sockaddr *)&at, &len) < 0 || listen(cutter->listen_fd, 64) < 0 ||
        pthread_create(&thread, NULL, accept_loop, cutter) != 0 || pthread_detach(thread) != 0)
        abort();
    cutter->port = ntohs(at.sin_port);
}
