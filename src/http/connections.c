/*
 * connections: the table, its deadlines and lingering closes.
 *
 * A connection is ended by shutdown(2), never by close(2): the descriptor belongs to libmicrohttpd, which sees the
 * end-of-file and closes it.  The descriptor number cannot be reused between a check and the shutdown here, because
 * connection_remove, which precedes the close, takes the same lock.
 */
#include "http/connections.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sync.h"

#define CHECK_MS 250
#define LINGER_US 2000000u
#define LINGER_MAX 256         /* lingering sockets; beyond it they are closed at once */
#define SEND_BYTES_PER_S 32768 /* a client that reads more slowly than this is cut off, after deadline_s ... */
#define SEND_US 20000000u      /* ... or if it does so for so long */
#define HURRY_BYTES_PER_S (1u << 20)
#define HURRY_SEND_US 5000000u
#define HURRY_US 5000000u     /* how long connections_hurry has effect */
#define DRAIN_NEW_US 1000000u /* for the request line of a connection accepted just before a drain */
#define IDLE_US_MIN 1000000u  /* on a full server, see idle_us_max */
#define NEVER UINT64_MAX

struct connection {
    struct connection *previous, *next;
    int fd;
    bool lingers; /* HTTP thread only */
    bool is_shut; /* under the lock */
    uint64_t born_us;
    _Atomic uint64_t idle_us; /* since when it has no request; valid in CONNECTION_NEW and CONNECTION_IDLE */
    _Atomic bool may_have_ended;
    /* In CONNECTION_SENDING: what the client had received by then.  sent_us is 0 at first. */
    _Atomic uint64_t sent_us;
    uint64_t sent_bytes; /* under the lock */
    _Atomic uint64_t deadline_us;
    _Atomic enum connection_phase phase;
};

struct connections {
    struct connections_settings settings;
    pthread_mutex_t lock; /* guards the list and `lingering` */
    struct connection *first;
    size_t upgraded, count;
    _Atomic uint64_t hurries_until_us;
    struct {
        int fd;
        uint64_t until_us;
    } lingering[LINGER_MAX];
    size_t lingering_len;
    pthread_t thread;
    bool thread_runs;
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
    connection->idle_us = now;
    connection->deadline_us = now + seconds_us(connections->settings.deadline_s);
    connection->phase = CONNECTION_NEW;
    lock_guard(&connections->lock);
    connection->next = connections->first;
    if (connections->first != NULL)
        connections->first->previous = connection;
    connections->first = connection;
    connections->count++;
    return connection;
}

void connection_enter(struct connections *connections, struct connection *connection, enum connection_phase phase,
                      uint64_t bytes)
{
    uint64_t now = clock_mono_us();
    uint64_t whole = now + seconds_us(connections->settings.deadline_s);
    uint64_t deadline = NEVER;

    switch (phase) {
    case CONNECTION_NEW:
    case CONNECTION_READING:
        /* The first request's time starts when the connection is accepted, so its request line extends nothing. */
        deadline = connection->deadline_us < whole ? (uint64_t)connection->deadline_us : whole;
        break;
    case CONNECTION_HANDLING:
        break;
    case CONNECTION_SENDING:
        deadline = whole + seconds_us(bytes / SEND_BYTES_PER_S);
        connection->sent_us = 0;
        break;
    case CONNECTION_IDLE:
        deadline = whole + seconds_us(connections->settings.idle_s);
        connection->idle_us = now;
        connection->may_have_ended = true;
        break;
    case CONNECTION_UPGRADED:
        mutex_lock(&connections->lock);
        connections->upgraded++;
        mutex_unlock(&connections->lock);
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

/* With the lock held. */
static void shut(struct connections *connections, struct connection *connection)
{
    if (connection->is_shut)
        return;
    connection->is_shut = true;
    /* In this phase no response is being sent, so these bytes cannot end up inside one. */
    if (connection->phase == CONNECTION_READING)
        (void)send(connection->fd, connections->settings.late_response.at, connections->settings.late_response.len,
                   MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(connection->fd, SHUT_RDWR);
}

/*
 * Connections that send no request must not use up the limit.  So the time that they may be idle shrinks from idle_s,
 * when three quarters of connections_max are in use, to a second when all are.
 */
static uint64_t idle_us_max(const struct connections *connections)
{
    size_t all = connections->settings.connections_max, quarter = all / 4;
    size_t left = all > connections->count ? all - connections->count : 0;

    if (left >= quarter)
        return NEVER;
    return IDLE_US_MIN + (seconds_us(connections->settings.idle_s) - IDLE_US_MIN) / quarter * left;
}

/*
 * True if the client of an idle connection has ended its side.  Where that came together with the request,
 * libmicrohttpd does not notice it, and the client would wait for our end until the connection has been idle too long.
 */
static bool has_ended(struct connection *connection)
{
    char byte;

    return connection->phase == CONNECTION_IDLE && atomic_exchange(&connection->may_have_ended, false) &&
           recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static bool bytes_received(int fd, uint64_t *ret)
{
    struct tcp_info info;
    socklen_t len = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked)
        return false;
    *ret = info.tcpi_bytes_acked;
    return true;
}

/* With the lock held.  True if the client has read too slowly for too long. */
static bool reads_slowly(const struct connections *connections, struct connection *connection, uint64_t now)
{
    bool hurries = now < connections->hurries_until_us;
    uint64_t received;

    if (connection->phase != CONNECTION_SENDING || !bytes_received(connection->fd, &received))
        return false;
    uint64_t since_us = connection->sent_us;
    if (since_us != 0 && now - since_us < (hurries ? HURRY_SEND_US : SEND_US))
        return false;
    bool is_slow =
        since_us != 0 && received - connection->sent_bytes <
                             (now - since_us) / 1000 * (hurries ? HURRY_BYTES_PER_S : SEND_BYTES_PER_S) / 1000;
    connection->sent_us = now;
    connection->sent_bytes = received;
    return is_slow;
}

void connections_hurry(struct connections *connections)
{
    connections->hurries_until_us = clock_mono_us() + HURRY_US;
}

static void shut_late(struct connections *connections)
{
    uint64_t now = clock_mono_us();

    lock_guard(&connections->lock);
    uint64_t idle_max = idle_us_max(connections);
    for (struct connection *at = connections->first; at != NULL; at = at->next) {
        bool is_idle = at->phase == CONNECTION_IDLE || at->phase == CONNECTION_NEW;
        uint64_t idle_us = at->idle_us;
        if (now >= at->deadline_us || (is_idle && now > idle_us && now - idle_us > idle_max) || has_ended(at) ||
            reads_slowly(connections, at, now))
            shut(connections, at);
    }
}

void connections_shut(struct connections *connections, bool all)
{
    uint64_t now = clock_mono_us();

    lock_guard(&connections->lock);
    for (struct connection *at = connections->first; at != NULL; at = at->next) {
        enum connection_phase phase = at->phase;
        bool is_waiting = phase == CONNECTION_IDLE || (phase == CONNECTION_NEW && now - at->born_us > DRAIN_NEW_US);
        if (phase != CONNECTION_UPGRADED && (all || is_waiting))
            shut(connections, at);
    }
}

size_t connections_count(struct connections *connections)
{
    lock_guard(&connections->lock);
    return connections->count - connections->upgraded;
}

static size_t lingering_max(uint32_t connections_max)
{
    return connections_max / 4 < LINGER_MAX ? connections_max / 4 : LINGER_MAX;
}

/* With more connections than descriptors, accept would fail permanently, MHD would spin, and other parts would fail. */
uint32_t connections_possible(uint32_t wanted, uint32_t reserved)
{
    struct rlimit limit;
    uint64_t needed = (uint64_t)wanted + lingering_max(wanted) + reserved;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= needed)
        return wanted;
    uint64_t left = limit.rlim_cur > reserved ? limit.rlim_cur - reserved : 0;
    uint64_t possible = left - left / 4 > LINGER_MAX * 4 ? left - LINGER_MAX : left - left / 4;
    if (possible == 0)
        possible = 1;
    log_warn("connections_max reduced from %u to %u: the limit of open files is %llu, and %u are reserved", wanted,
             (uint32_t)possible, (unsigned long long)limit.rlim_cur, reserved);
    return (uint32_t)possible;
}

/* ---- lingering ------------------------------------------------------------------------------------------------ */

void connection_linger(struct connection *connection)
{
    connection->lingers = true;
}

/* With the lock held.  The duplicate descriptor keeps the socket open after libmicrohttpd has closed its own. */
static void linger_begin(struct connections *connections, int borrowed_fd)
{
    if (connections->lingering_len >= lingering_max(connections->settings.connections_max))
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

/* With the lock held. */
static void linger_end(struct connections *connections, size_t i)
{
    /* While libmicrohttpd's descriptor is open, closing this one alone would leave the socket registered in epoll. */
    (void)epoll_ctl(connections->epoll_fd, EPOLL_CTL_DEL, connections->lingering[i].fd, NULL);
    (void)close(connections->lingering[i].fd);
    connections->lingering[i] = connections->lingering[--connections->lingering_len];
}

/* Discards what arrived; false at the end of the stream. */
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

/* `ready_fd` is readable; -1: only check the deadlines. */
static void linger_step(struct connections *connections, int ready_fd)
{
    uint64_t now = clock_mono_us();

    lock_guard(&connections->lock);
    for (size_t i = connections->lingering_len; i-- > 0;) {
        bool is_over = now >= connections->lingering[i].until_us;
        if (!is_over && connections->lingering[i].fd == ready_fd)
            is_over = !linger_read(ready_fd);
        if (is_over)
            linger_end(connections, i);
    }
}

void connection_remove(struct connections *connections, struct connection *connection)
{
    mutex_lock(&connections->lock);
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
    mutex_unlock(&connections->lock);
    free(connection);
}

/* ---- the thread ----------------------------------------------------------------------------------------------- */

static void *run(void *context)
{
    struct connections *connections = context;
    uint64_t next_us = 0;

    for (;;) {
        struct epoll_event events[32];
        int len = epoll_wait(connections->epoll_fd, events, 32, CHECK_MS);
        for (int i = 0; i < len; i++) {
            if (events[i].data.fd == connections->stop_fd)
                return NULL;
            linger_step(connections, events[i].data.fd);
        }
        if (clock_mono_us() >= next_us) {
            shut_late(connections);
            linger_step(connections, -1);
            next_us = clock_mono_us() + CHECK_MS * 1000u;
        }
    }
}

int connections_open(const struct connections_settings *settings, struct connections **ret, struct error *err)
{
    struct connections *connections = calloc(1, sizeof *connections);
    if (connections == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "create the connection table");

    connections->settings = *settings;
    mutex_init(&connections->lock);
    connections->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    connections->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = connections->stop_fd };
    if (connections->epoll_fd < 0 || connections->stop_fd < 0 ||
        epoll_ctl(connections->epoll_fd, EPOLL_CTL_ADD, connections->stop_fd, &event) < 0) {
        error_set(err, ERROR_SETUP, errno, "create the event queue for connection deadlines");
        connections_close(connections);
        return -1;
    }
    if (thread_start(&connections->thread, "http-deadline", run, connections, err) < 0) {
        connections_close(connections);
        return -1;
    }
    connections->thread_runs = true;
    *ret = connections;
    return 0;
}

void connections_close(struct connections *connections)
{
    if (connections == NULL)
        return;
    assert(connections->first == NULL);
    if (connections->thread_runs) {
        (void)eventfd_write(connections->stop_fd, 1);
        thread_join(connections->thread);
    }
    while (connections->lingering_len > 0)
        linger_end(connections, connections->lingering_len - 1);
    cleanup_close(&connections->epoll_fd);
    cleanup_close(&connections->stop_fd);
    (void)pthread_mutex_destroy(&connections->lock);
    free(connections);
}
