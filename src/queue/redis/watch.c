/*
 * redis/watch: a thread that subscribes to what the scripts publish and calls the watchers.
 *
 * The channel `events` carries "TOKEN STATE CANCELLED".  If there is a result watcher, the thread also subscribes to
 * `ends`, which carries small results, so that they need not be read.  After 5 s of silence the thread sends a PING,
 * so a dead connection is found within 10 s.  It reconnects with a back-off of 50 ms to 5 s.  Events in between are
 * lost, so whoever waits for a state must also read it now and then.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sync.h"
#include "queue/redis/redis_store.h"

#define SILENCE_MS 5000
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 5000

static bool must_stop(const struct redis_store *store)
{
    struct pollfd end = { .fd = store->watch_stop_fd, .events = POLLIN };
    return poll(&end, 1, 0) > 0;
}

/* Takes the next word off *rest.  False: there is none. */
static bool take_word(struct text *rest, struct text *ret)
{
    const char *blank = rest->len > 0 ? memchr(rest->at, ' ', rest->len) : NULL;
    if (blank == NULL)
        return false;
    *ret = (struct text){ rest->at, (size_t)(blank - rest->at) };
    *rest = (struct text){ blank + 1, rest->len - ret->len - 1 };
    return true;
}

/* "TOKEN ATTEMPT QUEUE CREATED STARTED FINISHED RESULT" of a completed submission; see scripts/finish.lua. */
static void notify_result(const struct redis_store *store, struct text message)
{
    struct store_view view = { .found = true, .state = SUBMISSION_COMPLETED };
    struct text token, queue, numbers[4];
    uint64_t attempt;
    if (!take_word(&message, &token) || token.len != TOKEN_LEN || !take_word(&message, &numbers[0]) ||
        !take_word(&message, &queue) || queue.len >= sizeof view.queue)
        return;
    for (size_t i = 1; i < 4; i++)
        if (!take_word(&message, &numbers[i]))
            return;
    if (text_parse_u64(numbers[0], &attempt) < 0 || text_parse_u64(numbers[1], &view.created_ms) < 0 ||
        text_parse_u64(numbers[2], &view.started_ms) < 0 || text_parse_u64(numbers[3], &view.finished_ms) < 0)
        return;
    char name[TOKEN_BYTES];
    (void)snprintf(name, sizeof name, "%.*s", TEXT_ARG(token));
    (void)snprintf(view.queue, sizeof view.queue, "%.*s", TEXT_ARG(queue));
    view.attempt = (uint32_t)attempt;
    view.result = (struct buf){ .at = (char *)message.at, .len = message.len }; /* borrowed, and only read */
    store->result_watcher(store->result_context, name, &view);
}

static void notify(const struct redis_store *store, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || reply->element[1]->type != REDIS_REPLY_STRING ||
        reply->element[2]->type != REDIS_REPLY_STRING || strcmp(reply->element[0]->str, "message") != 0)
        return;
    if (strcmp(reply->element[1]->str + strlen(store->prefix), "ends") == 0) {
        notify_result(store, redis_text(reply->element[2]));
        return;
    }
    const char *message = reply->element[2]->str;
    if (reply->element[2]->len != TOKEN_LEN + 4 || message[TOKEN_LEN] != ' ' || message[TOKEN_LEN + 2] != ' ')
        return;
    int state = message[TOKEN_LEN + 1] - '0';
    if (state < 0 || state >= SUBMISSION_STATE_COUNT_)
        return;
    char token[TOKEN_BYTES];
    (void)snprintf(token, sizeof token, "%s", message);
    store->watcher(store->watcher_context, token, (enum submission_state)state, message[TOKEN_LEN + 3] == '1');
}

/* Returns when the connection breaks or the store closes. */
static void receive_events(const struct redis_store *store, struct redis_connection *connection, struct error *err)
{
    char events[sizeof store->prefix + 16], ends[sizeof store->prefix + 16];
    (void)snprintf(events, sizeof events, "%sevents", store->prefix);
    (void)snprintf(ends, sizeof ends, "%sends", store->prefix);
    if (redis_connection_send(connection, store->result_watcher != NULL ? 3 : 2,
                              (const char *const[]){ "SUBSCRIBE", events, ends }, NULL, redis_now_ms() + REDIS_CALL_MS,
                              err) < 0)
        return;
    bool is_ping_sent = false; /* and not yet answered */
    while (true) {
        auto_reply redisReply *reply = NULL;
        int got = redis_connection_receive(connection, redis_now_ms() + SILENCE_MS, store->watch_stop_fd, &reply, err);
        if (got < 0 || must_stop(store))
            return;
        if (got == 1 && reply->type == REDIS_REPLY_ERROR) {
            (void)redis_error(reply, "listen for events", err);
            return;
        }
        if (got == 1) {
            is_ping_sent = false;
            notify(store, reply);
        } else if (is_ping_sent) {
            (void)error_set(err, ERROR_STORE, ETIMEDOUT, "listen for events: Redis does not answer");
            return;
        } else {
            is_ping_sent = true;
            uint64_t late_ms = redis_now_ms() + REDIS_CALL_MS;
            if (redis_connection_send(connection, 1, (const char *const[]){ "PING" }, NULL, late_ms, err) < 0)
                return;
        }
    }
}

static void *watch_main(void *context)
{
    struct redis_store *store = context;
    uint32_t failures = 0;
    while (!must_stop(store)) {
        struct redis_connection *connection = NULL;
        struct error err;
        if (redis_connection_open(&store->pool.address, &connection, &err) == 0) {
            failures = 0;
            receive_events(store, connection, &err);
            redis_connection_close(connection);
        }
        if (must_stop(store))
            break;
        log_warn("subscription to Redis lost, reconnecting: %s", err.text);
        struct pollfd end = { .fd = store->watch_stop_fd, .events = POLLIN };
        (void)poll(&end, 1, (int)backoff_ms(++failures, BACKOFF_MIN_MS, BACKOFF_MAX_MS));
    }
    return NULL;
}

int redis_watch(struct store *base, store_watcher *watcher, void *context, struct error *err)
{
    struct redis_store *store = redis_of(base);
    if (store->watcher != NULL)
        return error_set(err, ERROR_BUG, 0, "the store already has a watcher");
    store->watch_stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (store->watch_stop_fd < 0)
        return error_set(err, ERROR_SETUP, errno, "start the watch thread of the store");
    store->watcher_context = context;
    store->watcher = watcher;
    if (thread_start(&store->watch_thread, "redis-watch", watch_main, store, err) < 0) {
        store->watcher = NULL;
        (void)close(store->watch_stop_fd);
        return -1;
    }
    return 0;
}

void redis_watch_results(struct store *base, store_result_watcher *watcher, void *context)
{
    struct redis_store *store = redis_of(base);
    store->result_context = context;
    store->result_watcher = watcher;
}

void redis_watch_stop(struct redis_store *store)
{
    if (store->watcher == NULL)
        return;
    (void)eventfd_write(store->watch_stop_fd, 1);
    thread_join(store->watch_thread);
    (void)close(store->watch_stop_fd);
    store->watcher = NULL;
}
