/*
 * connections: deadlines and lingering.  See the header for what and why.
 *
 * A connection is ended by shutdown(2), never by close(2): the descriptor belongs to libmicrohttpd, which sees the
 * end-of-file and closes it.  That a number is not closed and used again between our look and our shutdown is sure
 * because connection_remove, which precedes the close, takes the same lock.
 */
#include "http/connections.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define SWEEP_MS 250
#define LINGER_US 2000000u
#define LINGER_MAX 256            /* sockets that linger at one time; beyond it they are just closed */
#define SEND_BYTES_PER_S 32768    /* a client that reads slower than this, after deadline_s, is cut off */
#define DRAIN_NEWBORN_US 1000000u /* connections accepted just before a drain get so long for their request line */
#define DESCRIPTORS_RESERVED 256  /* for everything of this process that is not a connection */
#define NEVER UINT64_MAX

struct connection {
    struct connection *previous, *next;
    int fd;
    bool lingers, target_is_valid; /* HTTP thread only */
    bool is_shut;                  /* under the lock */
    uint64_t born_us;
    _Atomic uint64_t deadline_us;
    _Atomic enum connection_phase phase;
};

struct connections {
    struct connections_settings settings;
    pthread_mutex_t lock; /* the list, `lingering` */
    struct connection *first;
    size_t upgraded, count;
    struct {
        int fd;
        uint64_t until_us;
    } lingering[LINGER_MAX];
    size_t lingering_len;
    pthread_t sweeper;
    bool sweeper_runs;
    int epoll_fd, stop_fd;
};

/* ---- deadlines ------------------------------------------------------------------------------------------------ */

static uint64_t seconds_us(uint64_t seconds)
{
    return seconds * 1000000u;
}

struct connection *connection_add(struct connections *connections, int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return NULL;

    uint64_t now = clock_mono_us();
    connection->fd = fd;
    connection->born_us = now;
    connection->deadline_us = now + seconds_us(connections->settings.deadline_s);
    connection->phase = CONNECTION_NEWBORN;
    (void)pthread_mutex_lock(&connections->lock);
    connection->next = connections->first;
    if (connections->first != NULL)
        connections->first->previous = connection;
    connections->first = connection;
    connections->count++;
    (void)pthread_mutex_unlock(&connections->lock);
    return connection;
}

void connection_enter(struct connections *connections, struct connection *connection, enum connection_phase phase,
                      uint64_t bytes)
{
    uint64_t now = clock_mono_us();
    uint64_t whole = now + seconds_us(connections->settings.deadline_s);
    uint64_t deadline = NEVER;

    switch (phase) {
    case CONNECTION_NEWBORN:
    case CONNECTION_READING:
        /* The first request's time runs from the connection's birth, so its request line wins nothing. */
        deadline = connection->deadline_us < whole ? (uint64_t)connection->deadline_us : whole;
        break;
    case CONNECTION_HANDLING:
        break;
    case CONNECTION_SENDING:
        deadline = whole + seconds_us(bytes / SEND_BYTES_PER_S);
        break;
    case CONNECTION_IDLE:
        deadline = whole + seconds_us(connections->settings.idle_s);
        break;
    case CONNECTION_UPGRADED:
        (void)pthread_mutex_lock(&connections->lock);
        connections->upgraded++;
        (void)pthread_mutex_unlock(&connections->lock);
        break;
    }
    connection->deadline_us = deadline;
    connection->phase = phase;
}

enum connection_phase connection_phase(const struct connection *connection)
{
    return connection->phase;
}

int connection_fd(const struct connection *connection)
{
    return connection->fd;
}

void connection_set_target_valid(struct connection *connection, bool is_valid)
{
    connection->target_is_valid = is_valid;
}

bool connection_target_is_valid(const struct connection *connection)
{
    return connection->target_is_valid;
}

/* With the lock. */
static void shut(struct connections *connections, struct connection *connection)
{
    if (connection->is_shut)
        return;
    connection->is_shut = true;
    /* In this phase nothing of ours is under way to the client, so the bytes cannot end up inside an answer. */
    if (connection->phase == CONNECTION_READING)
        (void)send(connection->fd, connections->settings.late_answer.at, connections->settings.late_answer.len,
                   MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(connection->fd, SHUT_RDWR);
}

static void shut_late(struct connections *connections)
{
    uint64_t now = clock_mono_us();

    (void)pthread_mutex_lock(&connections->lock);
    for (struct connection *at = connections->first; at != NULL; at = at->next)
        if (now >= at->deadline_us)
            shut(connections, at);
    (void)pthread_mutex_unlock(&connections->lock);
}

void connections_shut(struct connections *connections, bool all)
{
    uint64_t now = clock_mono_us();

    (void)pthread_mutex_lock(&connections->lock);
    for (struct connection *at = connections->first; at != NULL; at = at->next) {
        enum connection_phase phase = at->phase;
        bool is_waiting =
            phase == CONNECTION_IDLE || (phase == CONNECTION_NEWBORN && now - at->born_us > DRAIN_NEWBORN_US);
        if (phase != CONNECTION_UPGRADED && (all || is_waiting))
            shut(connections, at);
    }
    (void)pthread_mutex_unlock(&connections->lock);
}

size_t connections_count(struct connections *connections)
{
    (void)pthread_mutex_lock(&connections->lock);
    size_t count = connections->count - connections->upgraded;
    (void)pthread_mutex_unlock(&connections->lock);
    return count;
}

/* More connections than descriptors would make accept fail for ever, with a busy loop. */
uint32_t connections_possible(uint32_t wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return wanted;
    rlim_t needed = (rlim_t)wanted + DESCRIPTORS_RESERVED;
    if (limit.rlim_cur < needed) {
        limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= needed)
        return wanted;
    uint32_t possible = limit.rlim_cur > 2 * DESCRIPTORS_RESERVED ? (uint32_t)limit.rlim_cur - DESCRIPTORS_RESERVED
                                                                  : DESCRIPTORS_RESERVED;
    log_warn("at most %u connections instead of %u: the limit of open files is %llu", possible, wanted,
             (unsigned long long)limit.rlim_cur);
    return possible;
}

/* ---- lingering ------------------------------------------------------------------------------------------------ */

void connection_linger(struct connection *connection)
{
    connection->lingers = true;
}

/* With the lock.  The copy of the descriptor keeps the socket open after libmicrohttpd has closed its own. */
static void linger_begin(struct connections *connections, int borrowed_fd)
{
    if (connections->lingering_len == LINGER_MAX)
        return;
    auto_close int fd = fcntl(borrowed_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return;
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    if (shutdown(fd, SHUT_WR) < 0 || epoll_ctl(connections->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return;
    size_t i = connections->lingering_len++;
    connections->lingering[i].until_us = clock_mono_us() + LINGER_US;
    connections->lingering[i].fd = take_fd(&fd);
}

/* With the lock. */
static void linger_end(struct connections *connections, size_t i)
{
    /* libmicrohttpd may not have closed its own descriptor yet, so closing ours alone would leave it registered. */
    (void)epoll_ctl(connections->epoll_fd, EPOLL_CTL_DEL, connections->lingering[i].fd, NULL);
    (void)close(connections->lingering[i].fd);
    connections->lingering[i] = connections->lingering[--connections->lingering_len];
}

/* Reads away what came; false when there will be no more. */
static bool linger_read(int fd)
{
    char sink[65536];

    for (int rounds = 0; rounds < 16; rounds++) {
        ssize_t got = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
        if (got == 0)
            return false;
        if (got < 0)
            return errno == EAGAIN || errno == EINTR;
    }
    return true;
}

/* `ready_fd` has something to read; -1: only look at the clock. */
static void linger_step(struct connections *connections, int ready_fd)
{
    uint64_t now = clock_mono_us();

    (void)pthread_mutex_lock(&connections->lock);
    for (size_t i = connections->lingering_len; i-- > 0;) {
        bool is_over = now >= connections->lingering[i].until_us;
        if (!is_over && connections->lingering[i].fd == ready_fd)
            is_over = !linger_read(ready_fd);
        if (is_over)
            linger_end(connections, i);
    }
    (void)pthread_mutex_unlock(&connections->lock);
}

void connection_remove(struct connections *connections, struct connection *connection)
{
    (void)pthread_mutex_lock(&connections->lock);
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        connections->first = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    assert(connections->count > 0);
    connections->count--;
    if (connection->phase == CONNECTION_UPGRADED)
        connections->upgraded--;
    if (connection->lingers && !connection->is_shut)
        linger_begin(connections, connection->fd);
    (void)pthread_mutex_unlock(&connections->lock);
    free(connection);
}

/* ---- the sweeper ---------------------------------------------------------------------------------------------- */

static void *sweep(void *context)
{
    struct connections *connections = context;
    uint64_t next_us = 0;

    for (;;) {
        struct epoll_event events[32];
        int len = epoll_wait(connections->epoll_fd, events, 32, SWEEP_MS);
        for (int i = 0; i < len; i++) {
            if (events[i].data.fd == connections->stop_fd)
                return NULL;
            linger_step(connections, events[i].data.fd);
        }
        if (clock_mono_us() >= next_us) {
            shut_late(connections);
            linger_step(connections, -1);
            next_us = clock_mono_us() + SWEEP_MS * 1000u;
        }
    }
}

int connections_open(const struct connections_settings *settings, struct connections **ret, struct error *err)
{
    struct connections *connections = calloc(1, sizeof *connections);
    if (connections == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "open connection table");

    connections->settings = *settings;
    (void)pthread_mutex_init(&connections->lock, NULL);
    connections->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    connections->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = connections->stop_fd };
    if (connections->epoll_fd < 0 || connections->stop_fd < 0 ||
        epoll_ctl(connections->epoll_fd, EPOLL_CTL_ADD, connections->stop_fd, &event) < 0) {
        error_set(err, ERROR_SETUP, errno, "make the sweeper's event queue");
        connections_close(connections);
        return -1;
    }
    int os = pthread_create(&connections->sweeper, NULL, sweep, connections);
    if (os != 0) {
        error_set(err, ERROR_SETUP, os, "start the sweeper of connections");
        connections_close(connections);
        return -1;
    }
    connections->sweeper_runs = true;
    *ret = connections;
    return 0;
}

void connections_close(struct connections *connections)
{
    if (connections == NULL)
        return;
    assert(connections->first == NULL);
    if (connections->sweeper_runs) {
        (void)eventfd_write(connections->stop_fd, 1);
        (void)pthread_join(connections->sweeper, NULL);
    }
    while (connections->lingering_len > 0)
        linger_end(connections, connections->lingering_len - 1);
    cleanup_close(&connections->epoll_fd);
    cleanup_close(&connections->stop_fd);
    (void)pthread_mutex_destroy(&connections->lock);
    free(connections);
}
