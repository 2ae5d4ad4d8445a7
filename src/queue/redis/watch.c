/*
 * redis_watch: a thread with a connection of its own that hears what the scripts publish, "TOKEN STATE CANCELLED" on
 * `events`, and tells the watcher; and, where somebody watches ends, small results on `ends`, which saves their
 * reading.  Silence is broken by a PING, so that a dead connection is found within 10 s; then it connects again, 50 ms
 * to 5 s apart.  What happens meanwhile is not heard: whoever waits for a state must also look now and then.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "queue/redis/redis_store.h"

#define SILENCE_MS 5000
#define BACK_OFF_MS_MAX 5000

static bool must_end(const struct redis_store *store)
{
    struct pollfd end = { .fd = store->watch_stop_fd, .events = POLLIN };
    return poll(&end, 1, 0) > 0;
}

/* Cuts the next word off; false where there is none. */
static bool take_word(struct text *rest, struct text *ret)
{
    const char *blank = rest->len > 0 ? memchr(rest->at, ' ', rest->len) : NULL;
    if (blank == NULL)
        return false;
    *ret = (struct text){ rest->at, (size_t)(blank - rest->at) };
    *rest = (struct text){ blank + 1, rest->len - ret->len - 1 };
    return true;
}

/* "TOKEN ATTEMPT LANE CREATED STARTED FINISHED RESULT" of one that is completed; see scripts/finish.lua. */
static void tell_end(const struct redis_store *store, struct text message)
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

static void tell(const struct redis_store *store, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || reply->element[1]->type != REDIS_REPLY_STRING ||
        reply->element[2]->type != REDIS_REPLY_STRING || strcmp(reply->element[0]->str, "message") != 0)
        return;
    if (strcmp(reply->element[1]->str + strlen(store->prefix), "ends") == 0) {
        tell_end(store, redis_text(reply->element[2]));
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

/* Until the connection breaks or the store closes. */
static void listen_on(const struct redis_store *store, struct redis_connection *connection, struct error *err)
{
    char events[sizeof store->prefix + 16], ends[sizeof store->prefix + 16];
    (void)snprintf(events, sizeof events, "%sevents", store->prefix);
    (void)snprintf(ends, sizeof ends, "%sends", store->prefix);
    if (redis_connection_send(connection, store->result_watcher != NULL ? 3 : 2,
                              (const char *const[]){ "SUBSCRIBE", events, ends }, NULL, redis_now_ms() + REDIS_CALL_MS,
                              err) < 0)
        return;
    bool asked = false; /* a PING is on its way */
    while (true) {
        auto_reply redisReply *reply = NULL;
        int got = redis_connection_receive(connection, redis_now_ms() + SILENCE_MS, store->watch_stop_fd, &reply, err);
        if (got < 0 || must_end(store))
            return;
        if (got == 1 && reply->type == REDIS_REPLY_ERROR) {
            (void)redis_error(reply, "listen for events", err);
            return;
        }
        if (got == 1) {
            asked = false;
            tell(store, reply);
        } else if (asked) {
            (void)error_set(err, ERROR_STORE, ETIMEDOUT, "listen for events: Redis gives no answer");
            return;
        } else {
            asked = true;
            uint64_t late_ms = redis_now_ms() + REDIS_CALL_MS;
            if (redis_connection_send(connection, 1, (const char *const[]){ "PING" }, NULL, late_ms, err) < 0)
                return;
        }
    }
}

static void *watch_loop(void *context)
{
    struct redis_store *store = context;
    uint64_t back_off_ms = 50;
    while (!must_end(store)) {
        struct redis_connection *connection = NULL;
        struct error err;
        if (redis_connection_open(&store->pool.address, &connection, &err) == 0) {
            back_off_ms = 50;
            listen_on(store, connection, &err);
            redis_connection_close(connection);
        }
        if (must_end(store))
            break;
        log_warn("Redis events stopped, connecting again: %s", err.text);
        struct pollfd end = { .fd = store->watch_stop_fd, .events = POLLIN };
        (void)poll(&end, 1, (int)redis_spread(back_off_ms));
        back_off_ms = back_off_ms * 2 < BACK_OFF_MS_MAX ? back_off_ms * 2 : BACK_OFF_MS_MAX;
    }
    return NULL;
}

int redis_watch(struct store *base, store_watcher *watcher, void *context, struct error *err)
{
    struct redis_store *store = redis_of(base);
    if (store->watcher != NULL)
        return error_set(err, ERROR_BUG, 0, "the store has a watcher already");
    store->watch_stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (store->watch_stop_fd < 0)
        return error_set(err, ERROR_SETUP, errno, "start the store's watch thread");
    store->watcher_context = context;
    store->watcher = watcher;
    int os = pthread_create(&store->watch_thread, NULL, watch_loop, store);
    if (os != 0) {
        store->watcher = NULL;
        (void)close(store->watch_stop_fd);
        return error_set(err, ERROR_SETUP, os, "start the store's watch thread");
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
    (void)pthread_join(store->watch_thread, NULL);
    (void)close(store->watch_stop_fd);
    store->watcher = NULL;
}
