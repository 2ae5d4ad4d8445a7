/*
 * long_poll: responds to an exchange when its submission has ended.
 *
 * A long poll either sleeps or reads (a request is pending in async_store), never both.  It sleeps exactly while its
 * timer is set.  Only the completion of a read, on async_store's read thread, responds and frees it.  A result that the
 * store delivers takes the same path without the read.  A change that arrives during a read sets `read_again`.  The
 * thread "long-poll" starts the reads that are due: the last one at the deadline, and those of the safety net.
 *
 * Lock order: subscriptions->lock, then long_polls->lock.  No subscriptions or exchange call is made with it held.
 */
#include "api/long_poll.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "api/large_results.h"
#include "api/submission_response.h"
#include "api/subscriptions.h"
#include "base/clock.h"
#include "base/sync.h"
#include "base/timer_wheel.h"

#define RETRY_US 100000u     /* after async_store refused a read because it was full */
#define SAFETY_US 1000000u   /* interval of the safety net's reads ... */
#define SAFETY_EACH_US 1000u /* ... plus this for each long poll, which limits them to 1,000 a second */

struct long_poll {
    struct subscriber subscriber; /* first */
    struct long_polls *long_polls;
    struct exchange *exchange;
    enum long_poll_response response;
    uint64_t deadline_us;
    struct timer timer;
    bool is_started, read_again, is_repeated;
    bool is_first_read; /* nothing is known about the submission yet */
    struct long_poll *previous, *next;
};

struct long_polls {
    struct async_store *async_store;
    struct subscriptions *subscriptions;
    struct large_results *large_results;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* wakes_us must be lowered, or is_ending */
    struct long_poll *first;
    size_t len;
    struct timer_wheel timers;
    uint64_t wakes_us; /* the thread sleeps until then */
    bool is_draining, is_ending;
    pthread_t thread;
};

/* ---- responses ------------------------------------------------------------------------------------------------ */

static void respond_with_results(struct long_poll *long_poll, struct store_view *view, const char *const *headers)
{
    static const struct refusal stopping = { 503, "",
                                             "the server is stopping; read the results later from the URL in Location",
                                             NULL };
    static const struct refusal cancelled = { 409, "", "the submission was cancelled before it ended", NULL };
    struct error err;

    if (view->state == SUBMISSION_COMPLETED) {
        exchange_respond(long_poll->exchange, 200, "application/json", &view->result, headers);
    } else if (view->cancelled) {
        exchange_respond_refusal(long_poll->exchange, &cancelled, headers);
    } else if (view->state == SUBMISSION_FAILED) {
        error_set(&err, ERROR_SANDBOX, 0, "submission %s failed: %.*s", long_poll->subscriber.token,
                  TEXT_ARG(buf_text(&view->result)));
        exchange_respond_error_with(long_poll->exchange, &err, headers);
    } else {
        exchange_respond_refusal(long_poll->exchange, &stopping, headers);
    }
}

static void respond_with_view(struct long_poll *long_poll, const struct store_view *view, const char *const *headers)
{
    struct buf body;
    struct error err;

    buf_init(&body, submission_response_bytes_max(view));
    if (submission_response_view(long_poll->subscriber.token, view, &body, &err) < 0) {
        buf_done(&body);
        exchange_respond_error_with(long_poll->exchange, &err, headers);
    } else {
        exchange_respond(long_poll->exchange, 200, "application/json", &body, headers);
    }
}

static void respond(struct long_poll *long_poll, struct store_view *view, const struct error *err)
{
    struct submit_headers headers;
    const char *const *sent = NULL;

    if (long_poll->response != LONG_POLL_STATUS)
        sent = submit_headers(&headers, long_poll->subscriber.token, long_poll->is_repeated);
    if (err != NULL)
        exchange_respond_error_with(long_poll->exchange, err, sent);
    else if (view->left_out > 0)
        large_results_respond(long_poll->long_polls->large_results, long_poll->exchange, long_poll->subscriber.token,
                              long_poll->response, long_poll->is_repeated, view->left_out);
    else if (long_poll->response == LONG_POLL_RESULTS && view->found)
        respond_with_results(long_poll, view, sent);
    else
        respond_with_view(long_poll, view, sent);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* With the lock held: sleeps, and reads at this time. */
static void sleep_until(struct long_poll *long_poll, uint64_t at_us, uint64_t now)
{
    struct long_polls *long_polls = long_poll->long_polls;
    uint64_t due_us = timer_set(&long_polls->timers, &long_poll->timer, at_us, now);

    if (due_us >= long_polls->wakes_us)
        return;
    long_polls->wakes_us = due_us;
    cond_signal(&long_polls->changed);
}

/* With the lock held: reads after `interval_us`, or at the deadline if that is earlier. */
static void sleep_for(struct long_poll *long_poll, uint64_t interval_us, uint64_t now)
{
    uint64_t at_us = now + interval_us;
    sleep_until(long_poll, at_us < long_poll->deadline_us ? at_us : long_poll->deadline_us, now);
}

static void long_poll_free(struct long_poll *long_poll)
{
    struct long_polls *long_polls = long_poll->long_polls;

    subscriptions_remove(long_polls->subscriptions, &long_poll->subscriber);
    mutex_lock(&long_polls->lock);
    if (long_poll->previous != NULL)
        long_poll->previous->next = long_poll->next;
    else
        long_polls->first = long_poll->next;
    if (long_poll->next != NULL)
        long_poll->next->previous = long_poll->previous;
    long_polls->len--;
    timer_clear(&long_polls->timers, &long_poll->timer);
    mutex_unlock(&long_polls->lock);
    free(long_poll);
}

static void on_got(void *context, struct store_view *view, const struct error *err)
{
    struct long_poll *long_poll = context;
    struct long_polls *long_polls = long_poll->long_polls;
    uint64_t now = clock_mono_us();

    mutex_lock(&long_polls->lock);
    bool is_over = long_polls->is_draining || now >= long_poll->deadline_us;
    bool is_known = err == NULL && (!view->found || submission_state_is_final(view->state));
    /* A store failure is reported at once if nothing is known yet.  A later one is not: the safety net reads again. */
    bool ends = is_over || is_known || (err != NULL && long_poll->is_first_read);
    long_poll->is_first_read = false;
    if (!ends) {
        sleep_for(long_poll, long_poll->read_again ? 0 : SAFETY_US + long_polls->len * SAFETY_EACH_US, now);
        long_poll->read_again = false;
    }
    mutex_unlock(&long_polls->lock);
    if (ends) {
        respond(long_poll, view, err);
        long_poll_free(long_poll);
    }
    store_view_done(view);
}

/* It must not sleep.  May be called with the lock of the subscriptions held. */
static void start_reading(struct long_poll *long_poll)
{
    struct long_polls *long_polls = long_poll->long_polls;
    struct error err;

    if (async_store_get(long_polls->async_store, long_poll->subscriber.token, on_got, long_poll, &err) == 0)
        return;
    uint64_t now = clock_mono_us();
    mutex_lock(&long_polls->lock);
    sleep_until(long_poll, now + RETRY_US, now); /* even past the deadline */
    mutex_unlock(&long_polls->lock);
}

static void on_changed(struct subscriber *subscriber, enum submission_state state)
{
    struct long_poll *long_poll = (struct long_poll *)subscriber;
    struct long_polls *long_polls = long_poll->long_polls;

    if (!submission_state_is_final(state))
        return;
    mutex_lock(&long_polls->lock);
    bool starts = long_poll->timer.is_set;
    if (starts)
        timer_clear(&long_polls->timers, &long_poll->timer);
    else
        long_poll->read_again = true;
    mutex_unlock(&long_polls->lock);
    if (starts)
        start_reading(long_poll);
}

/* It must not sleep.  False: the result could not be passed on, so it must be read. */
static bool deliver(struct long_poll *long_poll, const struct store_view *end)
{
    struct store_view copy = *end;
    struct error err;

    if (end->result.len > ASYNC_STORE_RESULT_MAX) /* whoever waits shall share one copy */
        return false;
    buf_init(&copy.result, end->result.len + 1);
    if ((end->result.len == 0 || buf_append_text(&copy.result, buf_text(&end->result), &err) == 0) &&
        async_store_deliver(long_poll->long_polls->async_store, long_poll->subscriber.token, &copy, on_got, long_poll,
                            &err) == 0)
        return true;
    store_view_done(&copy);
    return false;
}

static void on_ended(struct subscriber *subscriber, const struct store_view *end)
{
    struct long_poll *long_poll = (struct long_poll *)subscriber;
    struct long_polls *long_polls = long_poll->long_polls;

    mutex_lock(&long_polls->lock);
    bool starts = long_poll->timer.is_set; /* otherwise on_changed, which is called next, sets read_again */
    timer_clear(&long_polls->timers, &long_poll->timer);
    mutex_unlock(&long_polls->lock);
    if (starts && (end == NULL || !deliver(long_poll, end)))
        start_reading(long_poll);
}

/* With the lock held: sleeps until a timer may be due. */
static void await_timers(struct long_polls *long_polls)
{
    long_polls->wakes_us = timer_wheel_next_us(&long_polls->timers);
    if (long_polls->wakes_us == UINT64_MAX)
        cond_wait(&long_polls->changed, &long_polls->lock);
    else
        (void)cond_wait_until(&long_polls->changed, &long_polls->lock, long_polls->wakes_us);
}

static void *run(void *context)
{
    struct long_polls *long_polls = context;

    mutex_lock(&long_polls->lock);
    while (!long_polls->is_ending) {
        struct timer *due = timer_wheel_due(&long_polls->timers, clock_mono_us());
        if (due == NULL) {
            await_timers(long_polls);
            continue;
        }
        struct long_poll *long_poll = (struct long_poll *)((char *)due - offsetof(struct long_poll, timer));
        mutex_unlock(&long_polls->lock);
        start_reading(long_poll);
        mutex_lock(&long_polls->lock);
    }
    mutex_unlock(&long_polls->lock);
    return NULL;
}

/* ---- creation and end ----------------------------------------------------------------------------------------- */

struct long_poll *long_poll_new(struct long_polls *long_polls, const char token[TOKEN_BYTES], struct exchange *exchange,
                                enum long_poll_response response, uint64_t wait_us, struct error *err)
{
    struct long_poll *long_poll = calloc(1, sizeof *long_poll);
    if (long_poll == NULL) {
        error_set(err, ERROR_BUSY, ENOMEM, "wait for submission %s", token);
        return NULL;
    }
    uint64_t now = clock_mono_us();
    memcpy(long_poll->subscriber.token, token, TOKEN_BYTES);
    long_poll->subscriber.changed = on_changed;
    long_poll->subscriber.ended = on_ended;
    long_poll->long_polls = long_polls;
    long_poll->exchange = exchange;
    long_poll->response = response;
    long_poll->deadline_us = wait_us == LONG_POLL_NO_DEADLINE ? LONG_POLL_NO_DEADLINE : now + wait_us;
    mutex_lock(&long_polls->lock);
    long_poll->next = long_polls->first;
    if (long_polls->first != NULL)
        long_polls->first->previous = long_poll;
    long_polls->first = long_poll;
    long_polls->len++;
    mutex_unlock(&long_polls->lock);
    subscriptions_add(long_polls->subscriptions, &long_poll->subscriber);
    return long_poll;
}

void long_poll_start(struct long_poll *long_poll, enum long_poll_start start)
{
    struct long_polls *long_polls = long_poll->long_polls;
    bool reads = start != LONG_POLL_ADDED;

    mutex_lock(&long_polls->lock);
    assert(!long_poll->is_started);
    bool starts = reads || long_poll->read_again;
    long_poll->is_started = true;
    long_poll->is_first_read = reads;
    long_poll->is_repeated = start == LONG_POLL_REPEATED;
    long_poll->read_again = false;
    if (!starts)
        sleep_for(long_poll, long_polls->is_draining ? 0 : SAFETY_US, clock_mono_us());
    mutex_unlock(&long_polls->lock);
    if (starts)
        start_reading(long_poll);
}

void long_poll_discard(struct long_poll *long_poll)
{
    assert(!long_poll->is_started);
    long_poll_free(long_poll);
}

int long_polls_open(struct async_store *async_store, struct subscriptions *subscriptions,
                    struct large_results *large_results, struct long_polls **ret, struct error *err)
{
    struct long_polls *long_polls = calloc(1, sizeof *long_polls);

    if (long_polls == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "create the table of long polls");
    long_polls->async_store = async_store;
    long_polls->subscriptions = subscriptions;
    long_polls->large_results = large_results;
    timer_wheel_init(&long_polls->timers, clock_mono_us());
    mutex_init(&long_polls->lock);
    cond_init(&long_polls->changed);
    if (thread_start(&long_polls->thread, "long-poll", run, long_polls, err) < 0) {
        free(long_polls);
        return -1;
    }
    *ret = long_polls;
    return 0;
}

void long_polls_drain(struct long_polls *long_polls)
{
    uint64_t now = clock_mono_us();

    lock_guard(&long_polls->lock);
    long_polls->is_draining = true;
    for (struct long_poll *at = long_polls->first; at != NULL; at = at->next)
        if (at->timer.is_set)
            sleep_for(at, 0, now);
}

void long_polls_close(struct long_polls *long_polls)
{
    if (long_polls == NULL)
        return;
    mutex_lock(&long_polls->lock);
    long_polls->is_ending = true;
    cond_signal(&long_polls->changed);
    mutex_unlock(&long_polls->lock);
    thread_join(long_polls->thread);
    while (long_polls->first != NULL) { /* async_store stayed full to the end; server_stop responded for these */
        struct long_poll *left = long_polls->first;
        struct error err;
        error_set(&err, ERROR_STORE, 0, "the server stopped before submission %s ended", left->subscriber.token);
        exchange_respond_error(left->exchange, &err);
        long_poll_free(left);
    }
    (void)pthread_cond_destroy(&long_polls->changed);
    (void)pthread_mutex_destroy(&long_polls->lock);
    free(long_polls);
}
