/*
 * websocket: the connections after their opening handshake, over wslay.
 *
 * Theory of operation.  All connections belong to the server's thread.  Other threads put new connections (from the
 * HTTP thread) and events into the inbox and wake the thread through an eventfd.  An event names its connection by an
 * id, so it cannot reach a later connection at the same address.
 */
#include "http/websocket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/sync.h"
#include "http/websocket_internal.h"

#define MESSAGE_BYTES_MAX 65536
#define UNSENT_BYTES_MAX (256u << 10) /* a client that reads too slowly is dropped */
#define BYTES_DEFAULT (64u << 20)     /* see websocket_server_open; or an eighth of the memory */
#define SMALL_BYTES 4096u
#define CONTROL_HEAD_BYTES 6   /* of a control frame from a client */
#define READ_BYTES_ROUND 65536 /* read from one client before the next one's turn */
#define TICK_MS 250
#define PING_US 30000000u
#define SILENCE_US 75000000u /* two unanswered pings */
#define CLOSING_US 1000000u  /* for the client's half of the closing handshake */

struct websocket {
    uint64_t id;
    struct websocket_server *server;
    void *state;
    struct upgraded *upgraded;
    int fd;
    wslay_event_context_ptr frames;
    char *early; /* bytes that followed the request's head; read before those of the socket */
    size_t early_len, early_at;
    size_t read_this_round;
    size_t partial; /* received of a message that is not complete */
    size_t held;    /* this connection's part of server->held */
    uint32_t epoll_events;
    bool is_over; /* to be dropped by the next step */
    uint64_t heard_us, ping_us;
    uint64_t closing_us; /* 0: open; otherwise when it is dropped */
    struct websocket *previous, *next;
};

struct websocket_server {
    const struct websocket_callbacks *callbacks;
    pthread_mutex_t lock; /* guards the inbox and is_draining */
    struct websocket_event *events, **events_last;
    struct websocket *arrived;
    bool is_draining;
    int epoll_fd, wakeup_fd;
    pthread_t thread;
    bool thread_runs;
    /* used only by the thread: */
    struct websocket *sockets;
    uint64_t last_id;
    uint64_t bytes_max;
    _Atomic uint64_t held; /* written by the thread */
};

/* ---- the inbox: other threads --------------------------------------------------------------------------------- */

void websocket_post(struct websocket_server *server, struct websocket_event *event)
{
    event->next = NULL;
    mutex_lock(&server->lock);
    *server->events_last = event;
    server->events_last = &event->next;
    mutex_unlock(&server->lock);
    (void)eventfd_write(server->wakeup_fd, 1);
}

struct websocket *websocket_new(struct websocket_server *server, void *state, struct error *err)
{
    struct websocket *websocket = calloc(1, sizeof *websocket);

    if (websocket == NULL) {
        error_set(err, ERROR_BUSY, ENOMEM, "open a WebSocket");
        server->callbacks->closed(state);
        return NULL;
    }
    websocket->server = server;
    websocket->state = state;
    return websocket;
}

void websocket_free(struct websocket *websocket)
{
    websocket->server->callbacks->closed(websocket->state);
    if (websocket->frames != NULL)
        wslay_event_context_free(websocket->frames);
    if (websocket->upgraded != NULL)
        upgraded_close(websocket->upgraded);
    free(websocket->early);
    free(websocket);
}

void websocket_on_upgraded(void *context, struct upgraded *upgraded, struct text already_read)
{
    struct websocket *websocket = context;
    struct websocket_server *server = websocket->server;

    if (upgraded == NULL) {
        websocket_free(websocket);
        return;
    }
    websocket->upgraded = upgraded;
    websocket->fd = upgraded_fd(upgraded);
    websocket->early_len = already_read.len;
    websocket->early = malloc(already_read.len + 1);
    if (websocket->early != NULL && already_read.len > 0)
        memcpy(websocket->early, already_read.at, already_read.len);
    mutex_lock(&server->lock);
    bool is_refused = server->is_draining || websocket->early == NULL;
    if (!is_refused) {
        websocket->next = server->arrived;
        server->arrived = websocket;
    }
    mutex_unlock(&server->lock);
    if (is_refused)
        websocket_free(websocket);
    else
        (void)eventfd_write(server->wakeup_fd, 1);
}

/* ---- frames --------------------------------------------------------------------------------------------------- */

static ssize_t on_receive(wslay_event_context_ptr frames, uint8_t *to, size_t len, int flags, void *context)
{
    struct websocket *websocket = context;
    (void)flags;

    if (websocket->early_at < websocket->early_len) {
        size_t left = websocket->early_len - websocket->early_at;
        len = len < left ? len : left;
        memcpy(to, websocket->early + websocket->early_at, len);
        websocket->early_at += len;
        return (ssize_t)len;
    }
    ssize_t got = -1;
    errno = EAGAIN;
    if (websocket->read_this_round < READ_BYTES_ROUND)
        got = recv(websocket->fd, to, len, MSG_DONTWAIT);
    if (got > 0) {
        websocket->read_this_round += (size_t)got;
        websocket->partial += (size_t)got;
        websocket->heard_us = clock_mono_us();
        return got;
    }
    wslay_event_set_error(frames, got < 0 && (errno == EAGAIN || errno == EINTR) ? WSLAY_ERR_WOULDBLOCK
                                                                                 : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr frames, const uint8_t *from, size_t len, int flags, void *context)
{
    struct websocket *websocket = context;
    ssize_t sent =
        send(websocket->fd, from, len, MSG_DONTWAIT | MSG_NOSIGNAL | (flags & WSLAY_MSG_MORE ? MSG_MORE : 0));

    if (sent < 0)
        wslay_event_set_error(frames,
                              errno == EAGAIN || errno == EINTR ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return sent;
}

static void on_message(wslay_event_context_ptr frames, const struct wslay_event_on_msg_recv_arg *message, void *context)
{
    struct websocket *websocket = context;
    (void)frames;

    if (wslay_is_ctrl_frame(message->opcode)) { /* it may be in the middle of a message */
        size_t len = message->msg_length + CONTROL_HEAD_BYTES;
        websocket->partial -= len < websocket->partial ? len : websocket->partial;
        return;
    }
    websocket->partial = 0;
    if (websocket->closing_us != 0)
        return;
    if (message->opcode == WSLAY_TEXT_FRAME)
        websocket->server->callbacks->message(websocket->state,
                                              (struct text){ (const char *)message->msg, message->msg_length });
    else
        websocket_close(websocket, WSLAY_CODE_UNSUPPORTED_DATA, "expected text");
}

uint64_t websocket_id(const struct websocket *websocket)
{
    return websocket->id;
}

void websocket_send(struct websocket *websocket, const struct buf *text)
{
    struct wslay_event_msg message = { WSLAY_TEXT_FRAME, (const uint8_t *)text->at, text->len };

    if (websocket->closing_us != 0)
        return;
    if (wslay_event_get_queued_msg_length(websocket->frames) > UNSENT_BYTES_MAX ||
        wslay_event_queue_msg(websocket->frames, &message) != 0)
        websocket->is_over = true;
}

void websocket_close(struct websocket *websocket, uint16_t code, const char *reason)
{
    if (websocket->closing_us != 0)
        return;
    websocket->closing_us = clock_mono_us() + CLOSING_US;
    if (wslay_event_queue_close(websocket->frames, code, (const uint8_t *)reason, strlen(reason)) != 0)
        websocket->is_over = true;
}

/* ---- connections ---------------------------------------------------------------------------------------------- */

static void websocket_drop(struct websocket *websocket)
{
    struct websocket_server *server = websocket->server;

    if (websocket->previous != NULL)
        websocket->previous->next = websocket->next;
    else
        server->sockets = websocket->next;
    if (websocket->next != NULL)
        websocket->next->previous = websocket->previous;
    (void)epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, websocket->fd, NULL);
    server->held -= websocket->held;
    websocket_free(websocket);
}

/* Counts what the connection holds.  If all hold too much, those that hold most of it go. */
static void websocket_count(struct websocket *websocket)
{
    struct websocket_server *server = websocket->server;
    size_t held = wslay_event_get_queued_msg_length(websocket->frames) + websocket->partial;

    server->held += held;
    server->held -= websocket->held;
    websocket->held = held;
    if (server->held > server->bytes_max && held > SMALL_BYTES)
        websocket->is_over = true;
}

/* Reads and writes what is possible, and registers for what remains.  Drops a connection that is over. */
static void websocket_step(struct websocket *websocket)
{
    websocket->read_this_round = 0;
    if (!websocket->is_over && wslay_event_recv(websocket->frames) != 0)
        websocket->is_over = true;
    if (!websocket->is_over && wslay_event_send(websocket->frames) != 0)
        websocket->is_over = true;
    websocket_count(websocket);
    bool wants_read = !websocket->is_over && wslay_event_want_read(websocket->frames);
    bool wants_write = !websocket->is_over && wslay_event_want_write(websocket->frames);
    if (!wants_read && !wants_write) {
        websocket_drop(websocket);
        return;
    }
    uint32_t events = (wants_read ? (uint32_t)EPOLLIN : 0) | (wants_write ? (uint32_t)EPOLLOUT : 0);
    if (events != websocket->epoll_events) {
        struct epoll_event event = { .events = events, .data.ptr = websocket };
        (void)epoll_ctl(websocket->server->epoll_fd, EPOLL_CTL_MOD, websocket->fd, &event);
        websocket->epoll_events = events;
    }
}

static void websocket_start(struct websocket *websocket)
{
    static const struct wslay_event_callbacks callbacks = { .recv_callback = on_receive,
                                                            .send_callback = on_send,
                                                            .on_msg_recv_callback = on_message };
    static const int on = 1;
    struct websocket_server *server = websocket->server;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = websocket };

    if (wslay_event_context_server_init(&websocket->frames, &callbacks, websocket) != 0 ||
        epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, websocket->fd, &event) < 0) {
        websocket_free(websocket);
        return;
    }
    websocket->id = ++server->last_id;
    websocket->heard_us = clock_mono_us();
    websocket->ping_us = websocket->heard_us + PING_US;
    websocket->epoll_events = EPOLLIN;
    websocket->previous = NULL;
    websocket->next = server->sockets;
    if (server->sockets != NULL)
        server->sockets->previous = websocket;
    server->sockets = websocket;
    (void)setsockopt(websocket->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    wslay_event_config_set_max_recv_msg_length(websocket->frames, MESSAGE_BYTES_MAX);
    server->callbacks->opened(websocket->state, websocket);
    websocket_step(websocket);
}

/* ---- the thread ----------------------------------------------------------------------------------------------- */

/* Returns true if the server drains. */
static bool handle_inbox(struct websocket_server *server)
{
    mutex_lock(&server->lock);
    struct websocket_event *events = server->events;
    struct websocket *arrived = server->arrived;
    bool drains = server->is_draining;
    server->events = NULL;
    server->events_last = &server->events;
    server->arrived = NULL;
    mutex_unlock(&server->lock);

    for (struct websocket *next; arrived != NULL; arrived = next) {
        next = arrived->next;
        websocket_start(arrived);
    }
    for (struct websocket_event *next; events != NULL; events = next) {
        next = events->next;
        struct websocket *websocket = server->sockets;
        while (websocket != NULL && websocket->id != events->websocket_id)
            websocket = websocket->next;
        if (websocket != NULL) {
            server->callbacks->event(websocket->state, events);
            websocket_step(websocket);
        }
        free(events);
    }
    return drains;
}

/* Pings, timeouts, and the owner's ticks. */
static void tick(struct websocket_server *server, bool drains)
{
    static const struct wslay_event_msg ping = { WSLAY_PING, NULL, 0 };
    uint64_t now = clock_mono_us();

    for (struct websocket *next, *at = server->sockets; at != NULL; at = next) {
        next = at->next;
        if (drains)
            websocket_close(at, WSLAY_CODE_GOING_AWAY, "the server is stopping");
        if (now - at->heard_us > SILENCE_US || (at->closing_us != 0 && now >= at->closing_us))
            at->is_over = true;
        if (now >= at->ping_us && at->closing_us == 0) {
            at->ping_us = now + PING_US;
            if (wslay_event_queue_msg(at->frames, &ping) != 0)
                at->is_over = true;
        }
        server->callbacks->tick(at->state, now);
        websocket_step(at);
    }
}

static void *run(void *context)
{
    struct websocket_server *server = context;
    uint64_t tick_us = 0;

    for (;;) {
        struct epoll_event events[64];
        eventfd_t count;
        int len = epoll_wait(server->epoll_fd, events, 64, TICK_MS);
        /* Sockets first: a step drops only its own connection, but an event from the inbox may drop any. */
        for (int i = 0; i < len; i++)
            if (events[i].data.ptr != NULL)
                websocket_step(events[i].data.ptr);
        (void)eventfd_read(server->wakeup_fd, &count);
        bool drains = handle_inbox(server);
        if (drains || clock_mono_us() >= tick_us) {
            tick(server, drains);
            tick_us = clock_mono_us() + TICK_MS * 1000u;
        }
        if (drains && server->sockets == NULL)
            return NULL;
    }
}

uint64_t websocket_server_bytes(const struct websocket_server *server)
{
    return server->held;
}

int websocket_server_open(const struct websocket_callbacks *callbacks, uint64_t bytes_max,
                          struct websocket_server **ret, struct error *err)
{
    struct websocket_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "create the WebSocket server");

    server->callbacks = callbacks;
    server->bytes_max = bytes_max != 0 ? bytes_max : memory_budget(BYTES_DEFAULT);
    server->events_last = &server->events;
    mutex_init(&server->lock);
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->wakeup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    int result = 0;
    if (server->epoll_fd < 0 || server->wakeup_fd < 0 ||
        epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->wakeup_fd, &event) < 0)
        result = error_set(err, ERROR_SETUP, errno, "create the event queue of the WebSocket server");
    if (result == 0)
        result = thread_start(&server->thread, "websocket", run, server, err);
    if (result < 0) {
        websocket_server_close(server);
        return -1;
    }
    server->thread_runs = true;
    *ret = server;
    return 0;
}

void websocket_server_drain(struct websocket_server *server)
{
    mutex_lock(&server->lock);
    server->is_draining = true;
    mutex_unlock(&server->lock);
    (void)eventfd_write(server->wakeup_fd, 1);
    if (server->thread_runs)
        thread_join(server->thread);
    server->thread_runs = false;
}

void websocket_server_close(struct websocket_server *server)
{
    if (server == NULL)
        return;
    for (struct websocket_event *next, *at = server->events; at != NULL; at = next) {
        next = at->next;
        free(at);
    }
    cleanup_close(&server->epoll_fd);
    cleanup_close(&server->wakeup_fd);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}
