/*
 * websocket: the clients of /ws after their handshake, all on one thread, the hub's.
 *
 * A client hears of a submission only if it named the token, because knowing a token is the right to read its results:
 * a stream of all tokens would hand out that right to everybody.
 *
 * Theory of operation.  Connections and subscriptions belong to the hub's thread alone.  Other threads (the HTTP thread
 * with newcomers, the store's with changes, the desk's with what was read) leave events in the inbox and ring the
 * eventfd.  They name a connection by a number that is never used again, so an event for one that has gone is dropped.
 * A subscription is registered with watch first and then read, so no change is missed; the safety net reads it again
 * now and then.  What was read may be older than what watch told meanwhile, so a read never takes a state back.
 * The submission's end also ends the subscription.
 */
#include "api/websocket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#include "api/answer.h"
#include "api/subscribe_json.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json_write.h"

#define MESSAGE_BYTES_MAX 65536
#define UNSENT_BYTES_MAX (256u << 10) /* a client that reads too slowly is dropped */
#define READ_BYTES_ROUND 65536        /* of one client, before the others have their turn */
#define TICK_MS 250
#define PING_US 30000000u
#define SILENCE_US 75000000u /* two pings without an answer */
#define CLOSING_US 1000000u  /* for the other side's half of a close */
#define SAFETY_US 5000000u
#define SAFETY_EACH_US 1000u

struct subscription {
    struct subscriber subscriber; /* first */
    struct ws_server *ws_server;
    uint64_t client_id;
    int told; /* the state the client knows; -1: none */
    uint64_t read_at_us;
    struct subscription *next;
};

struct client {
    uint64_t id;
    struct ws_server *ws_server;
    struct upgraded *upgraded;
    int fd;
    wslay_event_context_ptr frames;
    char *early; /* read before the socket itself */
    size_t early_len, early_at;
    size_t read_this_round;
    uint32_t epoll_events;
    bool is_over;
    uint64_t heard_us, ping_us;
    uint64_t closing_us; /* 0: open; else when it is dropped */
    struct subscription *subscriptions;
    size_t subscriptions_len;
    struct client *previous, *next;
};

struct event {
    uint64_t client_id;
    char token[TOKEN_BYTES];
    enum submission_state state;
    bool was_read, found;
    struct event *next;
};

struct ws_server {
    struct api *api;
    pthread_mutex_t lock; /* the inbox, is_draining */
    struct event *events, **events_last;
    struct ws_handshake *newcomers;
    bool is_draining;
    int epoll_fd, wakeup_fd;
    pthread_t thread;
    bool thread_runs;
    /* the hub's thread only: */
    struct client *clients;
    uint64_t last_id;
    size_t subscriptions_len;
};

/* ---- the inbox: other threads --------------------------------------------------------------------------------- */

static void leave_event(struct ws_server *ws_server, const struct event *event)
{
    struct event *copy = malloc(sizeof *copy);

    if (copy == NULL)
        return; /* the safety net reads again */
    *copy = *event;
    copy->next = NULL;
    (void)pthread_mutex_lock(&ws_server->lock);
    *ws_server->events_last = copy;
    ws_server->events_last = &copy->next;
    (void)pthread_mutex_unlock(&ws_server->lock);
    (void)eventfd_write(ws_server->wakeup_fd, 1);
}

static void on_changed(struct subscriber *subscriber, enum submission_state state)
{
    struct subscription *subscription = (struct subscription *)subscriber;
    struct event event = { .client_id = subscription->client_id, .state = state, .found = true };

    memcpy(event.token, subscriber->token, TOKEN_BYTES);
    leave_event(subscription->ws_server, &event);
}

struct reading {
    struct ws_server *ws_server;
    uint64_t client_id;
    char token[TOKEN_BYTES];
};

static void on_got(void *context, struct store_view *view, const struct error *err)
{
    struct reading *reading = context;
    struct event event = { .client_id = reading->client_id, .was_read = true };

    if (err == NULL) {
        memcpy(event.token, reading->token, TOKEN_BYTES);
        event.state = view->state;
        event.found = view->found;
        leave_event(reading->ws_server, &event);
    }
    store_view_done(view);
    free(reading);
}

static void ws_handshake_free(struct ws_handshake *ws_handshake)
{
    free(ws_handshake->early);
    free(ws_handshake);
}

void websocket_taken(void *context, struct upgraded *upgraded, struct text already_read)
{
    struct ws_handshake *ws_handshake = context;
    struct ws_server *ws_server = ws_handshake->ws_server;

    if (upgraded == NULL) {
        ws_handshake_free(ws_handshake);
        return;
    }
    ws_handshake->upgraded = upgraded;
    ws_handshake->early_len = already_read.len;
    ws_handshake->early = malloc(already_read.len + 1);
    if (ws_handshake->early != NULL && already_read.len > 0)
        memcpy(ws_handshake->early, already_read.at, already_read.len);
    (void)pthread_mutex_lock(&ws_server->lock);
    bool is_refused = ws_server->is_draining || ws_handshake->early == NULL;
    if (!is_refused) {
        ws_handshake->next = ws_server->newcomers;
        ws_server->newcomers = ws_handshake;
    }
    (void)pthread_mutex_unlock(&ws_server->lock);
    if (is_refused) {
        upgraded_close(upgraded);
        ws_handshake_free(ws_handshake);
    } else {
        (void)eventfd_write(ws_server->wakeup_fd, 1);
    }
}

/* ---- frames --------------------------------------------------------------------------------------------------- */

static ssize_t receive(wslay_event_context_ptr frames, uint8_t *to, size_t len, int flags, void *context)
{
    struct client *client = context;
    (void)flags;

    if (client->early_at < client->early_len) {
        size_t left = client->early_len - client->early_at;
        len = len < left ? len : left;
        memcpy(to, client->early + client->early_at, len);
        client->early_at += len;
        return (ssize_t)len;
    }
    ssize_t got = -1;
    errno = EAGAIN;
    if (client->read_this_round < READ_BYTES_ROUND)
        got = recv(client->fd, to, len, MSG_DONTWAIT);
    if (got > 0) {
        client->read_this_round += (size_t)got;
        client->heard_us = clock_mono_us();
        return got;
    }
    wslay_event_set_error(frames, got < 0 && (errno == EAGAIN || errno == EINTR) ? WSLAY_ERR_WOULDBLOCK
                                                                                 : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t transmit(wslay_event_context_ptr frames, const uint8_t *from, size_t len, int flags, void *context)
{
    struct client *client = context;
    ssize_t sent = send(client->fd, from, len, MSG_DONTWAIT | MSG_NOSIGNAL | (flags & WSLAY_MSG_MORE ? MSG_MORE : 0));

    if (sent < 0)
        wslay_event_set_error(frames,
                              errno == EAGAIN || errno == EINTR ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return sent;
}

static void client_say(struct client *client, const struct buf *text)
{
    struct wslay_event_msg message = { WSLAY_TEXT_FRAME, (const uint8_t *)text->at, text->len };

    if (client->closing_us != 0)
        return;
    if (wslay_event_get_queued_msg_length(client->frames) > UNSENT_BYTES_MAX ||
        wslay_event_queue_msg(client->frames, &message) != 0)
        client->is_over = true;
}

static void client_close(struct client *client, uint16_t code, const char *reason)
{
    if (client->closing_us != 0)
        return;
    client->closing_us = clock_mono_us() + CLOSING_US;
    if (wslay_event_queue_close(client->frames, code, (const uint8_t *)reason, strlen(reason)) != 0)
        client->is_over = true;
}

/* ---- subscriptions -------------------------------------------------------------------------------------------- */

static void subscription_read(struct subscription *subscription)
{
    struct ws_server *ws_server = subscription->ws_server;
    struct reading *reading = malloc(sizeof *reading);
    struct error err;

    subscription->read_at_us = clock_mono_us() + SAFETY_US + ws_server->subscriptions_len * SAFETY_EACH_US;
    if (reading == NULL)
        return;
    reading->ws_server = ws_server;
    reading->client_id = subscription->client_id;
    memcpy(reading->token, subscription->subscriber.token, TOKEN_BYTES);
    if (async_store_get(ws_server->api->async_store, reading->token, on_got, reading, &err) < 0)
        free(reading);
}

static struct subscription **subscription_find(struct client *client, const char *token)
{
    struct subscription **at = &client->subscriptions;

    while (*at != NULL && memcmp((*at)->subscriber.token, token, TOKEN_LEN) != 0)
        at = &(*at)->next;
    return at;
}

static void subscription_end(struct client *client, struct subscription **at)
{
    struct subscription *gone = *at;

    *at = gone->next;
    subscriptions_remove(client->ws_server->api->subscriptions, &gone->subscriber);
    client->subscriptions_len--;
    client->ws_server->subscriptions_len--;
    free(gone);
}

static bool subscribe(void *context, const char token[TOKEN_BYTES])
{
    struct client *client = context;

    if (*subscription_find(client, token) != NULL)
        return true;
    struct subscription *subscription = NULL;
    if (client->subscriptions_len < WEBSOCKET_TOKENS_MAX)
        subscription = calloc(1, sizeof *subscription);
    if (subscription == NULL) {
        client_close(client, WSLAY_CODE_POLICY_VIOLATION, "too many tokens");
        return false;
    }
    memcpy(subscription->subscriber.token, token, TOKEN_LEN);
    subscription->subscriber.changed = on_changed;
    subscription->ws_server = client->ws_server;
    subscription->client_id = client->id;
    subscription->told = -1;
    subscription->next = client->subscriptions;
    client->subscriptions = subscription;
    client->subscriptions_len++;
    client->ws_server->subscriptions_len++;
    subscriptions_add(client->ws_server->api->subscriptions, &subscription->subscriber);
    subscription_read(subscription);
    return true;
}

static void tell_missing(struct client *client, const char *token)
{
    auto_buf struct buf text = { 0 };
    struct error err;

    buf_init(&text, 1024);
    if (buf_printf(&text, &err,
                   "{\"token\":\"%s\",\"status\":null,\"error\":{\"code\":\"not_found\",\"message\":"
                   "\"no such submission, or no longer\",\"field\":null}}",
                   token) == 0)
        client_say(client, &text);
}

static void client_hear(struct client *client, const struct event *event)
{
    auto_buf struct buf text = { 0 };
    struct error err;
    struct subscription **at = subscription_find(client, event->token);

    if (*at == NULL)
        return;
    if (!event->found) {
        tell_missing(client, event->token);
        subscription_end(client, at);
        return;
    }
    bool is_news = event->was_read ? (int)event->state > (*at)->told : (int)event->state != (*at)->told;
    if (!is_news)
        return;
    (*at)->told = (int)event->state;
    buf_init(&text, 256);
    if (answer_state(event->token, event->state, &text, &err) == 0)
        client_say(client, &text);
    if (submission_state_is_final(event->state))
        subscription_end(client, at);
}

/* ---- clients -------------------------------------------------------------------------------------------------- */

static void on_message(wslay_event_context_ptr frames, const struct wslay_event_on_msg_recv_arg *message, void *context)
{
    struct client *client = context;
    auto_buf struct buf answer = { 0 };
    struct error err;
    (void)frames;

    if (client->closing_us != 0 || wslay_is_ctrl_frame(message->opcode))
        return;
    if (message->opcode != WSLAY_TEXT_FRAME) {
        client_close(client, WSLAY_CODE_UNSUPPORTED_DATA, "expected text");
        return;
    }
    struct text text = { (const char *)message->msg, message->msg_length };
    if (subscribe_decode(text, subscribe, client, &err) == 0)
        return;
    struct error own;
    buf_init(&answer, 4096);
    if (answer_error(error_kind_name(err.kind), answer_message(&err), err.field, &answer, &own) == 0)
        client_say(client, &answer);
}

static void client_free(struct client *client)
{
    struct ws_server *ws_server = client->ws_server;

    while (client->subscriptions != NULL)
        subscription_end(client, &client->subscriptions);
    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        ws_server->clients = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
    (void)epoll_ctl(ws_server->epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
    if (client->frames != NULL)
        wslay_event_context_free(client->frames);
    upgraded_close(client->upgraded);
    free(client->early);
    free(client);
}

/* Reads, writes, and asks epoll for what is still to be done.  Frees a client that is over. */
static void client_step(struct client *client)
{
    client->read_this_round = 0;
    if (!client->is_over && wslay_event_recv(client->frames) != 0)
        client->is_over = true;
    if (!client->is_over && wslay_event_send(client->frames) != 0)
        client->is_over = true;
    bool wants_read = !client->is_over && wslay_event_want_read(client->frames);
    bool wants_write = !client->is_over && wslay_event_want_write(client->frames);
    if (!wants_read && !wants_write) {
        client_free(client);
        return;
    }
    uint32_t events = (wants_read ? (uint32_t)EPOLLIN : 0) | (wants_write ? (uint32_t)EPOLLOUT : 0);
    if (events != client->epoll_events) {
        struct epoll_event event = { .events = events, .data.ptr = client };
        (void)epoll_ctl(client->ws_server->epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
        client->epoll_events = events;
    }
}

/* Takes over all that the newcomer has, but for its tokens. */
static struct client *client_new(struct ws_server *ws_server, struct ws_handshake *ws_handshake)
{
    static const struct wslay_event_callbacks callbacks = { .recv_callback = receive,
                                                            .send_callback = transmit,
                                                            .on_msg_recv_callback = on_message };
    static const int on = 1;
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;

    client->id = ++ws_server->last_id;
    client->ws_server = ws_server;
    client->upgraded = ws_handshake->upgraded;
    client->fd = upgraded_fd(ws_handshake->upgraded);
    client->early = take_ptr(&ws_handshake->early);
    client->early_len = ws_handshake->early_len;
    client->heard_us = clock_mono_us();
    client->ping_us = client->heard_us + PING_US;
    client->epoll_events = EPOLLIN;
    client->next = ws_server->clients;
    if (ws_server->clients != NULL)
        ws_server->clients->previous = client;
    ws_server->clients = client;
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
    if (wslay_event_context_server_init(&client->frames, &callbacks, client) != 0 ||
        epoll_ctl(ws_server->epoll_fd, EPOLL_CTL_ADD, client->fd, &event) < 0) {
        client_free(client);
        return NULL;
    }
    wslay_event_config_set_max_recv_msg_length(client->frames, MESSAGE_BYTES_MAX);
    return client;
}

static void welcome(struct ws_server *ws_server, struct ws_handshake *ws_handshake)
{
    struct upgraded *upgraded = ws_handshake->upgraded;
    struct client *client = client_new(ws_server, ws_handshake);

    if (client == NULL && ws_handshake->early != NULL) /* not even the client could be made */
        upgraded_close(upgraded);
    if (client != NULL) {
        for (size_t i = 0; i < ws_handshake->tokens_len && subscribe(client, ws_handshake->tokens[i]); i++)
            continue;
        client_step(client);
    }
    ws_handshake_free(ws_handshake);
}

/* ---- the thread ----------------------------------------------------------------------------------------------- */

/* Returns whether the hub drains. */
static bool empty_inbox(struct ws_server *ws_server)
{
    (void)pthread_mutex_lock(&ws_server->lock);
    struct event *events = ws_server->events;
    struct ws_handshake *newcomers = ws_server->newcomers;
    bool drains = ws_server->is_draining;
    ws_server->events = NULL;
    ws_server->events_last = &ws_server->events;
    ws_server->newcomers = NULL;
    (void)pthread_mutex_unlock(&ws_server->lock);

    for (struct ws_handshake *next; newcomers != NULL; newcomers = next) {
        next = newcomers->next;
        welcome(ws_server, newcomers);
    }
    for (struct event *next; events != NULL; events = next) {
        next = events->next;
        struct client *client = ws_server->clients;
        while (client != NULL && client->id != events->client_id)
            client = client->next;
        if (client != NULL) {
            client_hear(client, events);
            client_step(client);
        }
        free(events);
    }
    return drains;
}

static void look_after(struct ws_server *ws_server, bool drains)
{
    static const struct wslay_event_msg ping = { WSLAY_PING, NULL, 0 };
    uint64_t now = clock_mono_us();

    for (struct client *next, *at = ws_server->clients; at != NULL; at = next) {
        next = at->next;
        if (drains)
            client_close(at, WSLAY_CODE_GOING_AWAY, "the server is stopping");
        if (now - at->heard_us > SILENCE_US || (at->closing_us != 0 && now >= at->closing_us))
            at->is_over = true;
        if (now >= at->ping_us && at->closing_us == 0) {
            at->ping_us = now + PING_US;
            if (wslay_event_queue_msg(at->frames, &ping) != 0)
                at->is_over = true;
        }
        for (struct subscription *s = at->subscriptions; s != NULL; s = s->next)
            if (now >= s->read_at_us)
                subscription_read(s);
        client_step(at);
    }
}

static void *run(void *context)
{
    struct ws_server *ws_server = context;
    uint64_t look_us = 0;

    for (;;) {
        struct epoll_event events[64];
        eventfd_t rung;
        int len = epoll_wait(ws_server->epoll_fd, events, 64, TICK_MS);
        /* Clients first: a step frees only its own, and the inbox may free any. */
        for (int i = 0; i < len; i++)
            if (events[i].data.ptr != NULL)
                client_step(events[i].data.ptr);
        (void)eventfd_read(ws_server->wakeup_fd, &rung);
        bool drains = empty_inbox(ws_server);
        if (drains || clock_mono_us() >= look_us) {
            look_after(ws_server, drains);
            look_us = clock_mono_us() + TICK_MS * 1000u;
        }
        if (drains && ws_server->clients == NULL)
            return NULL;
    }
}

int ws_server_open(struct api *api, struct ws_server **ret, struct error *err)
{
    struct ws_server *ws_server = calloc(1, sizeof *ws_server);
    if (ws_server == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "open the hub of WebSockets");

    ws_server->api = api;
    ws_server->events_last = &ws_server->events;
    (void)pthread_mutex_init(&ws_server->lock, NULL);
    ws_server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ws_server->wakeup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    int os = 0;
    if (ws_server->epoll_fd < 0 || ws_server->wakeup_fd < 0 ||
        epoll_ctl(ws_server->epoll_fd, EPOLL_CTL_ADD, ws_server->wakeup_fd, &event) < 0)
        os = errno;
    if (os == 0)
        os = pthread_create(&ws_server->thread, NULL, run, ws_server);
    if (os != 0) {
        error_set(err, ERROR_SETUP, os, "start the hub of WebSockets");
        ws_server_close(ws_server);
        return -1;
    }
    ws_server->thread_runs = true;
    *ret = ws_server;
    return 0;
}

void ws_server_drain(struct ws_server *ws_server)
{
    (void)pthread_mutex_lock(&ws_server->lock);
    ws_server->is_draining = true;
    (void)pthread_mutex_unlock(&ws_server->lock);
    (void)eventfd_write(ws_server->wakeup_fd, 1);
    if (ws_server->thread_runs)
        (void)pthread_join(ws_server->thread, NULL);
    ws_server->thread_runs = false;
}

void ws_server_close(struct ws_server *ws_server)
{
    if (ws_server == NULL)
        return;
    for (struct event *next, *at = ws_server->events; at != NULL; at = next) {
        next = at->next;
        free(at);
    }
    cleanup_close(&ws_server->epoll_fd);
    cleanup_close(&ws_server->wakeup_fd);
    (void)pthread_mutex_destroy(&ws_server->lock);
    free(ws_server);
}
