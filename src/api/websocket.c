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
#include "base/clock.h"
#include "base/json_write.h"
#include "base/scope.h"

#define MESSAGE_BYTES_MAX 65536
#define UNSENT_BYTES_MAX (256u << 10) /* a client that reads too slowly is dropped */
#define READ_BYTES_ROUND 65536        /* of one client, before the others have their turn */
#define TICK_MS 250
#define PING_US 30000000u
#define SILENCE_US 75000000u          /* two pings without an answer */
#define CLOSING_US 1000000u           /* for the other side's half of a close */
#define SAFETY_US 5000000u
#define SAFETY_EACH_US 1000u

struct subscription {
    struct watcher watcher; /* first */
    struct hub *hub;
    uint64_t client_id;
    int told; /* the state the client knows; -1: none */
    uint64_t read_at_us;
    struct subscription *next;
};

struct client {
    uint64_t id;
    struct hub *hub;
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

struct hub {
    struct api *api;
    pthread_mutex_t lock; /* the inbox, is_draining */
    struct event *events, **events_last;
    struct newcomer *newcomers;
    bool is_draining;
    int epoll_fd, bell_fd;
    pthread_t thread;
    bool thread_runs;
    /* the hub's thread only: */
    struct client *clients;
    uint64_t last_id;
    size_t subscriptions_len;
};

/* ---- the inbox: other threads --------------------------------------------------------------------------------- */

static void leave_event(struct hub *hub, const struct event *event)
{
    struct event *copy = malloc(sizeof *copy);

    if (copy == NULL)
        return; /* the safety net reads again */
    *copy = *event;
    copy->next = NULL;
    (void)pthread_mutex_lock(&hub->lock);
    *hub->events_last = copy;
    hub->events_last = &copy->next;
    (void)pthread_mutex_unlock(&hub->lock);
    (void)eventfd_write(hub->bell_fd, 1);
}

static void on_changed(struct watcher *watcher, enum submission_state state)
{
    struct subscription *subscription = (struct subscription *)watcher;
    struct event event = { .client_id = subscription->client_id, .state = state, .found = true };

    memcpy(event.token, watcher->token, TOKEN_BYTES);
    leave_event(subscription->hub, &event);
}

struct reading {
    struct hub *hub;
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
        leave_event(reading->hub, &event);
    }
    store_view_done(view);
    free(reading);
}

static void newcomer_free(struct newcomer *newcomer)
{
    free(newcomer->early);
    free(newcomer);
}

void websocket_taken(void *context, struct upgraded *upgraded, struct text already_read)
{
    struct newcomer *newcomer = context;
    struct hub *hub = newcomer->hub;

    if (upgraded == NULL) {
        newcomer_free(newcomer);
        return;
    }
    newcomer->upgraded = upgraded;
    newcomer->early_len = already_read.len;
    newcomer->early = malloc(already_read.len + 1);
    if (newcomer->early != NULL && already_read.len > 0)
        memcpy(newcomer->early, already_read.at, already_read.len);
    (void)pthread_mutex_lock(&hub->lock);
    bool is_refused = hub->is_draining || newcomer->early == NULL;
    if (!is_refused) {
        newcomer->next = hub->newcomers;
        hub->newcomers = newcomer;
    }
    (void)pthread_mutex_unlock(&hub->lock);
    if (is_refused) {
        upgraded_close(upgraded);
        newcomer_free(newcomer);
    } else {
        (void)eventfd_write(hub->bell_fd, 1);
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
        wslay_event_set_error(frames, errno == EAGAIN || errno == EINTR ? WSLAY_ERR_WOULDBLOCK
                                                                       : WSLAY_ERR_CALLBACK_FAILURE);
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
    struct hub *hub = subscription->hub;
    struct reading *reading = malloc(sizeof *reading);
    struct error err;

    subscription->read_at_us = clock_mono_us() + SAFETY_US + hub->subscriptions_len * SAFETY_EACH_US;
    if (reading == NULL)
        return;
    reading->hub = hub;
    reading->client_id = subscription->client_id;
    memcpy(reading->token, subscription->watcher.token, TOKEN_BYTES);
    if (desk_get(hub->api->desk, reading->token, on_got, reading, &err) < 0)
        free(reading);
}

static struct subscription **subscription_find(struct client *client, const char *token)
{
    struct subscription **at = &client->subscriptions;

    while (*at != NULL && memcmp((*at)->watcher.token, token, TOKEN_LEN) != 0)
        at = &(*at)->next;
    return at;
}

static void subscription_end(struct client *client, struct subscription **at)
{
    struct subscription *gone = *at;

    *at = gone->next;
    watch_remove(client->hub->api->watch, &gone->watcher);
    client->subscriptions_len--;
    client->hub->subscriptions_len--;
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
    memcpy(subscription->watcher.token, token, TOKEN_LEN);
    subscription->watcher.changed = on_changed;
    subscription->hub = client->hub;
    subscription->client_id = client->id;
    subscription->told = -1;
    subscription->next = client->subscriptions;
    client->subscriptions = subscription;
    client->subscriptions_len++;
    client->hub->subscriptions_len++;
    watch_add(client->hub->api->watch, &subscription->watcher);
    subscription_read(subscription);
    return true;
}

static void tell_missing(struct client *client, const char *token)
{
    auto_buf struct buf text = { 0 };
    struct error err;

    buf_init(&text, 1024);
    if (buf_printf(&text, &err, "{\"token\":\"%s\",\"status\":null,\"error\":{\"code\":\"not_found\",\"message\":"
                                "\"no such submission, or no longer\",\"field\":null}}", token) == 0)
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

static void on_message(wslay_event_context_ptr frames, const struct wslay_event_on_msg_recv_arg *message,
                       void *context)
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
    struct hub *hub = client->hub;

    while (client->subscriptions != NULL)
        subscription_end(client, &client->subscriptions);
    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        hub->clients = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
    (void)epoll_ctl(hub->epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
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
        (void)epoll_ctl(client->hub->epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
        client->epoll_events = events;
    }
}

/* Takes over all that the newcomer has, but for its tokens. */
static struct client *client_new(struct hub *hub, struct newcomer *newcomer)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = receive, .send_callback = transmit, .on_msg_recv_callback = on_message
    };
    static const int on = 1;
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;

    client->id = ++hub->last_id;
    client->hub = hub;
    client->upgraded = newcomer->upgraded;
    client->fd = upgraded_fd(newcomer->upgraded);
    client->early = take_ptr(&newcomer->early);
    client->early_len = newcomer->early_len;
    client->heard_us = clock_mono_us();
    client->ping_us = client->heard_us + PING_US;
    client->epoll_events = EPOLLIN;
    client->next = hub->clients;
    if (hub->clients != NULL)
        hub->clients->previous = client;
    hub->clients = client;
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
    if (wslay_event_context_server_init(&client->frames, &callbacks, client) != 0 ||
        epoll_ctl(hub->epoll_fd, EPOLL_CTL_ADD, client->fd, &event) < 0) {
        client_free(client);
        return NULL;
    }
    wslay_event_config_set_max_recv_msg_length(client->frames, MESSAGE_BYTES_MAX);
    return client;
}

static void welcome(struct hub *hub, struct newcomer *newcomer)
{
    struct upgraded *upgraded = newcomer->upgraded;
    struct client *client = client_new(hub, newcomer);

    if (client == NULL && newcomer->early != NULL) /* not even the client could be made */
        upgraded_close(upgraded);
    if (client != NULL) {
        for (size_t i = 0; i < newcomer->tokens_len && subscribe(client, newcomer->tokens[i]); i++)
            continue;
        client_step(client);
    }
    newcomer_free(newcomer);
}

/* ---- the thread ----------------------------------------------------------------------------------------------- */

/* Returns whether the hub drains. */
static bool empty_inbox(struct hub *hub)
{
    (void)pthread_mutex_lock(&hub->lock);
    struct event *events = hub->events;
    struct newcomer *newcomers = hub->newcomers;
    bool drains = hub->is_draining;
    hub->events = NULL;
    hub->events_last = &hub->events;
    hub->newcomers = NULL;
    (void)pthread_mutex_unlock(&hub->lock);

    for (struct newcomer *next; newcomers != NULL; newcomers = next) {
        next = newcomers->next;
        welcome(hub, newcomers);
    }
    for (struct event *next; events != NULL; events = next) {
        next = events->next;
        struct client *client = hub->clients;
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

static void look_after(struct hub *hub, bool drains)
{
    static const struct wslay_event_msg ping = { WSLAY_PING, NULL, 0 };
    uint64_t now = clock_mono_us();

    for (struct client *next, *at = hub->clients; at != NULL; at = next) {
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
    struct hub *hub = context;
    uint64_t look_us = 0;

    for (;;) {
        struct epoll_event events[64];
        eventfd_t rung;
        int len = epoll_wait(hub->epoll_fd, events, 64, TICK_MS);
        /* Clients first: a step frees only its own, and the inbox may free any. */
        for (int i = 0; i < len; i++)
            if (events[i].data.ptr != NULL)
                client_step(events[i].data.ptr);
        (void)eventfd_read(hub->bell_fd, &rung);
        bool drains = empty_inbox(hub);
        if (drains || clock_mono_us() >= look_us) {
            look_after(hub, drains);
            look_us = clock_mono_us() + TICK_MS * 1000u;
        }
        if (drains && hub->clients == NULL)
            return NULL;
    }
}

int hub_open(struct api *api, struct hub **ret, struct error *err)
{
    struct hub *hub = calloc(1, sizeof *hub);
    if (hub == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "open the hub of WebSockets");

    hub->api = api;
    hub->events_last = &hub->events;
    (void)pthread_mutex_init(&hub->lock, NULL);
    hub->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    hub->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    int os = 0;
    if (hub->epoll_fd < 0 || hub->bell_fd < 0 || epoll_ctl(hub->epoll_fd, EPOLL_CTL_ADD, hub->bell_fd, &event) < 0)
        os = errno;
    if (os == 0)
        os = pthread_create(&hub->thread, NULL, run, hub);
    if (os != 0) {
        error_set(err, ERROR_SETUP, os, "start the hub of WebSockets");
        hub_close(hub);
        return -1;
    }
    hub->thread_runs = true;
    *ret = hub;
    return 0;
}

void hub_drain(struct hub *hub)
{
    (void)pthread_mutex_lock(&hub->lock);
    hub->is_draining = true;
    (void)pthread_mutex_unlock(&hub->lock);
    (void)eventfd_write(hub->bell_fd, 1);
    if (hub->thread_runs)
        (void)pthread_join(hub->thread, NULL);
    hub->thread_runs = false;
}

void hub_close(struct hub *hub)
{
    if (hub == NULL)
        return;
    for (struct event *next, *at = hub->events; at != NULL; at = next) {
        next = at->next;
        free(at);
    }
    scope_close(&hub->epoll_fd);
    scope_close(&hub->bell_fd);
    (void)pthread_mutex_destroy(&hub->lock);
    free(hub);
}
