/* redis_connection: sockets, deadlines, and the commands that begin a connection; see redis/connection.h. */
#include "queue/redis/connection.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#define CONNECT_MS 2000
#define HELLO_MS 2000

uint64_t redis_now_ms(void)
{
    return clock_mono_us() / 1000;
}

/* ---- waiting and bytes ---- */

/* 1: ready, 0: the deadline passed or wake_fd is readable, -1: errno. */
static int wait_ready(int fd, short events, uint64_t deadline_ms, int wake_fd)
{
    while (true) {
        uint64_t now = redis_now_ms();
        if (now >= deadline_ms)
            return 0;
        uint64_t left = deadline_ms - now;
        struct pollfd fds[] = { { .fd = fd, .events = events }, { .fd = wake_fd, .events = POLLIN } };
        int got = poll(fds, wake_fd >= 0 ? 2 : 1, left > 60000 ? 60000 : (int)left);
        if (got < 0 && errno != EINTR)
            return -1;
        if (got > 0)
            return fds[0].revents != 0; /* otherwise wake_fd is readable */
    }
}

static ssize_t send_some(struct redis_connection *connection, const void *bytes, size_t len)
{
    if (connection->tls != NULL)
        return redis_tls_send(connection->tls, bytes, len);
    return send(connection->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int redis_connection_send(struct redis_connection *connection, size_t args_len, const char *const args[],
                          const size_t lens[], uint64_t deadline_ms, struct error *err)
{
    char *command = NULL;
    long long len = redisFormatCommandArgv(&command, (int)args_len, (const char **)args, lens);
    if (len < 0)
        return error_set(err, ERROR_STORE, 0, "Redis: no memory for a command");
    int result = 0;
    for (size_t sent = 0; sent < (size_t)len;) {
        ssize_t part = send_some(connection, command + sent, (size_t)len - sent);
        if (part >= 0) {
            sent += (size_t)part;
            continue;
        }
        if (errno == EINTR)
            continue;
        int ready = errno == EAGAIN ? wait_ready(connection->fd, POLLOUT, deadline_ms, -1) : -1;
        if (ready == 0)
            result = error_set(err, ERROR_STORE, ETIMEDOUT, "Redis: send");
        else if (ready < 0)
            result = error_set(err, ERROR_STORE, errno, "Redis: send");
        if (result < 0)
            break;
    }
    redisFreeCommand(command);
    return result;
}

/* 1: read some bytes, 0: none have arrived, -1: the connection ended. */
static int read_some(struct redis_connection *connection, struct error *err)
{
    char bytes[65536];
    ssize_t len = connection->tls != NULL ? redis_tls_receive(connection->tls, bytes, sizeof bytes)
                                          : recv(connection->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (len < 0)
        return error_set(err, ERROR_STORE, errno, "Redis: receive");
    if (len == 0)
        return error_set(err, ERROR_STORE, 0, "Redis closed the connection");
    if (redisReaderFeed(connection->reader, bytes, (size_t)len) != REDIS_OK)
        return error_set(err, ERROR_STORE, 0, "Redis: %s", connection->reader->errstr);
    return 1;
}

int redis_connection_receive(struct redis_connection *connection, uint64_t deadline_ms, int wake_fd, redisReply **ret,
                             struct error *err)
{
    while (true) {
        void *reply = NULL;
        if (redisReaderGetReply(connection->reader, &reply) != REDIS_OK)
            return error_set(err, ERROR_STORE, 0, "Redis: invalid reply: %s", connection->reader->errstr);
        if (reply != NULL) {
            *ret = reply;
            return 1;
        }
        int got = read_some(connection, err);
        if (got < 0)
            return -1;
        if (got > 0)
            continue;
        int ready = wait_ready(connection->fd, POLLIN, deadline_ms, wake_fd);
        if (ready < 0)
            return error_set(err, ERROR_STORE, errno, "Redis: wait for a reply");
        if (ready == 0)
            return 0;
    }
}

int redis_error(const redisReply *reply, const char *doing, struct error *err)
{
    assert(reply->type == REDIS_REPLY_ERROR);
    static const struct {
        const char *start, *text;
    } known[] = {
        { "NOAUTH", "it requires a password (REDIS_PASSWORD)" },
        { "WRONGPASS", "user or password is wrong" },
        { "NOPERM", "the ACL forbids this to the user" },
        { "LOADING", "it is still loading its data" },
        { "READONLY", "it is a replica; its primary has moved" },
        { "MASTERDOWN", "it is a replica without its primary" },
        { "OOM", "it is out of memory (maxmemory)" },
        { "MISCONF", "it cannot write to its disk" },
        { "MOVED", "it is part of a cluster; name the node that serves the keys" },
        { "BUSY", "it is busy running a script" },
        { "CLUSTERDOWN", "its cluster is down" },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t len = strlen(known[i].start);
        if (strncmp(reply->str, known[i].start, len) == 0 && (reply->str[len] == ' ' || reply->str[len] == '\0'))
            return error_set(err, ERROR_STORE, 0, "%s: Redis: %s", doing, known[i].text);
    }
    return error_set(err, ERROR_STORE, 0, "%s: Redis: %.200s", doing, reply->str);
}

/* ---- opening ---- */

static int connect_one(const struct sockaddr_storage *at, socklen_t len, uint64_t deadline_ms)
{
    auto_close int fd = socket(at->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)at, len) < 0) {
        if (errno != EINPROGRESS)
            return -1;
        int ready = wait_ready(fd, POLLOUT, deadline_ms, -1);
        int os = ETIMEDOUT;
        socklen_t os_len = sizeof os;
        if (ready > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &os, &os_len) == 0 && os == 0)
            return take_fd(&fd);
        errno = os;
        return -1;
    }
    return take_fd(&fd);
}

static int connect_any(const struct redis_address *address, int *ret_fd, struct error *err)
{
    uint64_t deadline_ms = redis_now_ms() + CONNECT_MS;
    struct redis_addresses list;
    if (redis_resolver_find(address->resolver, deadline_ms, &list, err) < 0)
        return -1;
    int fd = -1, os = 0;
    for (size_t i = 0; i < list.len && fd < 0; i++) {
        uint64_t now = redis_now_ms();
        /* Half of the remaining time for each address but the last, so that a dead one does not use up all of it. */
        uint64_t until = i + 1 < list.len && now < deadline_ms ? now + (deadline_ms - now) / 2 : deadline_ms;
        fd = connect_one(&list.at[i], list.lens[i], until);
        os = errno;
    }
    if (fd < 0)
        return error_set(err, ERROR_STORE, os, "Redis: connect to %s:%s", address->host, address->port);

    /* Without keepalive a power cut of the peer goes unnoticed for hours.  Failing to set an option does no harm. */
    static const struct {
        int level, name, value;
    } options[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },   { SOL_SOCKET, SO_KEEPALIVE, 1 }, { IPPROTO_TCP, TCP_KEEPIDLE, 10 },
        { IPPROTO_TCP, TCP_KEEPINTVL, 5 }, { IPPROTO_TCP, TCP_KEEPCNT, 3 },
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
    *ret_fd = fd;
    return 0;
}

/* Sends one command at the beginning of a connection.  An `optional` one may fail: an ACL may forbid CLIENT. */
static int send_hello(struct redis_connection *connection, const char *doing, bool optional, size_t len,
                      const char *const args[], struct error *err)
{
    uint64_t deadline_ms = redis_now_ms() + HELLO_MS;
    redisReply *reply = NULL;
    if (redis_connection_send(connection, len, args, NULL, deadline_ms, err) < 0)
        return -1;
    int got = redis_connection_receive(connection, deadline_ms, -1, &reply, err);
    if (got == 0)
        return error_set(err, ERROR_STORE, ETIMEDOUT, "Redis: %s", doing);
    if (got < 0)
        return -1;
    int result = reply->type == REDIS_REPLY_ERROR && !optional ? redis_error(reply, doing, err) : 0;
    freeReplyObject(reply);
    return result;
}

static int log_in(struct redis_connection *connection, const struct redis_address *address, struct error *err)
{
    char name[48], database[16];
    (void)snprintf(name, sizeof name, "evalx-%ld", (long)getpid());
    (void)snprintf(database, sizeof database, "%u", address->database);
    if (address->password[0] != '\0') {
        bool has_user = address->user[0] != '\0';
        const char *const with_user[] = { "AUTH", address->user, address->password };
        const char *const without[] = { "AUTH", address->password };
        if (send_hello(connection, "log in", false, has_user ? 3 : 2, has_user ? with_user : without, err) < 0)
            return -1;
    }
    if (send_hello(connection, "name the connection", true, 3, (const char *const[]){ "CLIENT", "SETNAME", name },
                   err) < 0)
        return -1;
    if (address->database != 0 &&
        send_hello(connection, "choose the database", false, 2, (const char *const[]){ "SELECT", database }, err) < 0)
        return -1;
    return 0;
}

int redis_connection_open(const struct redis_address *address, struct redis_connection **ret, struct error *err)
{
    auto_close int fd = -1;
    if (connect_any(address, &fd, err) < 0)
        return -1;
    struct redis_connection *connection = calloc(1, sizeof *connection);
    redisReader *reader = redisReaderCreate();
    if (connection == NULL || reader == NULL) {
        free(connection);
        if (reader != NULL)
            redisReaderFree(reader);
        return error_set(err, ERROR_STORE, ENOMEM, "Redis: connect");
    }
    connection->fd = take_fd(&fd);
    connection->reader = reader;
    if ((address->uses_tls && redis_tls_open(address->trust, connection->fd, address->host, redis_now_ms() + HELLO_MS,
                                             &connection->tls, err) < 0) ||
        log_in(connection, address, err) < 0) {
        redis_connection_close(connection);
        return -1;
    }
    *ret = connection;
    return 0;
}

void redis_connection_close(struct redis_connection *connection)
{
    if (connection == NULL)
        return;
    redis_tls_close(connection->tls);
    (void)close(connection->fd);
    redisReaderFree(connection->reader);
    free(connection);
}
