/*
 * wait: see the header.
 *
 * A wait is asleep or reading (an order lies at the desk), never both, and only its reader, which runs on the desk's
 * clerk, answers and frees it; a result that the store hands over goes the same way, without the reading.  What happens
 * while it reads is noted in `again`.  The ticker thread starts reads whose time has come: the last one at the
 * deadline, and those of the safety net.  A wait is asleep exactly while its timer is set.
 *
 * Locks: watch's before ours; no call to watch or exchange is made under ours.
 */
#include "api/wait.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "api/answer.h"
#include "api/watch.h"
#include "base/clock.h"
#include "base/timer_wheel.h"

#define RETRY_US 100000u     /* the desk was full */
#define SAFETY_US 1000000u   /* a read again of what the store did not tell about ... */
#define SAFETY_EACH_US 1000u /* ... and this longer for each that waits: at most 1,000 such reads a second */
#define ENVELOPE_BYTES 4096  /* of an answer, beside the results */

struct wait {
    struct watcher watcher; /* first: watch knows nothing else of us */
    struct waits *waits;
    struct exchange *exchange;
    enum wait_answer answer;
    uint64_t deadline_us;
    struct timer timer;
    bool goes, again;
    bool is_first_read; /* nothing is known of the submission yet */
    struct wait *previous, *next;
};

struct waits {
    struct desk *desk;
    struct watch *watch;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct wait *first;
    size_t len;
    struct timer_wheel timers;
    uint64_t wakes_us; /* until when the ticker sleeps */
    bool is_draining, is_ending;
    pthread_t ticker;
};

/* ---- answers -------------------------------------------------------------------------------------------------- */

static void answer_results(struct wait *wait, struct store_view *view)
{
    struct refusal stopping = { 503, "", "the server is stopping; ask for the results at the Location" };
    struct refusal cancelled = { 409, "", "the submission was cancelled before it ended" };
    char location[sizeof "Location: /submissions/" + TOKEN_LEN];
    const char *headers[] = { location, NULL };
    struct error err;

    (void)snprintf(location, sizeof location, "Location: /submissions/%s", wait->watcher.token);
    if (view->state == SUBMISSION_COMPLETED) {
        exchange_answer(wait->exchange, 200, "application/json", &view->result, headers);
    } else if (view->cancelled) {
        exchange_answer_refusal(wait->exchange, &cancelled, headers);
    } else if (view->state == SUBMISSION_FAILED) {
        error_set(&err, ERROR_SANDBOX, 0, "submission %s failed: %.*s", wait->watcher.token,
                  TEXT_ARG(buf_text(&view->result)));
        exchange_answer_error(wait->exchange, &err);
    } else {
        exchange_answer_refusal(wait->exchange, &stopping, headers);
    }
}

static void answer_status_view(struct wait *wait, const struct store_view *view)
{
    struct buf body;
    struct error err;
    bool is_late = wait->answer == WAIT_FOR_ACCEPTED && !submission_state_is_final(view->state);

    buf_init(&body, 6 * view->result.len + ENVELOPE_BYTES);
    if (answer_view(wait->watcher.token, view, &body, &err) < 0) {
        buf_done(&body);
        exchange_answer_error(wait->exchange, &err);
    } else {
        exchange_answer_json(wait->exchange, is_late ? 202 : 200, &body);
    }
}

static void answer(struct wait *wait, struct store_view *view, const struct error *err)
{
    struct error missing;

    if (err == NULL && !view->found) {
        error_set(&missing, ERROR_MISSING, 0, "no submission %s, or no longer", wait->watcher.token);
        err = &missing;
    }
    if (err != NULL)
        exchange_answer_error(wait->exchange, err);
    else if (wait->answer == WAIT_FOR_RESULTS)
        answer_results(wait, view);
    else
        answer_status_view(wait, view);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* With the lock: it sleeps, and at this time it reads. */
static void sleep_until(struct wait *wait, uint64_t at_us, uint64_t now)
{
    struct waits *waits = wait->waits;
    uint64_t due_us = timer_set(&waits->timers, &wait->timer, at_us, now);

    if (due_us >= waits->wakes_us)
        return;
    waits->wakes_us = due_us;
    (void)pthread_cond_signal(&waits->changed);
}

/* With the lock: it reads after so long as the safety net, or at its deadline. */
static void sleep_for(struct wait *wait, uint64_t spell_us, uint64_t now)
{
    uint64_t at_us = now + spell_us;
    sleep_until(wait, at_us < wait->deadline_us ? at_us : wait->deadline_us, now);
}

static void wait_free(struct wait *wait)
{
    struct waits *waits = wait->waits;

    watch_remove(waits->watch, &wait->watcher);
    (void)pthread_mutex_lock(&waits->lock);
    if (wait->previous != NULL)
        wait->previous->next = wait->next;
    else
        waits->first = wait->next;
    if (wait->next != NULL)
        wait->next->previous = wait->previous;
    waits->len--;
    timer_clear(&waits->timers, &wait->timer);
    (void)pthread_mutex_unlock(&waits->lock);
    free(wait);
}

static void on_got(void *context, struct store_view *view, const struct error *err)
{
    struct wait *wait = context;
    struct waits *waits = wait->waits;
    uint64_t now = clock_mono_us();

    (void)pthread_mutex_lock(&waits->lock);
    bool is_over = waits->is_draining || now >= wait->deadline_us;
    bool is_known = err == NULL && (!view->found || submission_state_is_final(view->state));
    /* A store that is away from the start is told at once; an outage shorter than the wait is not the client's
     * business, the safety net reads again. */
    bool ends = is_over || is_known || (err != NULL && wait->is_first_read);
    wait->is_first_read = false;
    if (!ends) {
        sleep_for(wait, wait->again ? 0 : SAFETY_US + waits->len * SAFETY_EACH_US, now);
        wait->again = false;
    }
    (void)pthread_mutex_unlock(&waits->lock);
    if (ends) {
        answer(wait, view, err);
        wait_free(wait);
    }
    store_view_done(view);
}

/* It is awake.  Safe under watch's lock. */
static void start_reading(struct wait *wait)
{
    struct waits *waits = wait->waits;
    struct error err;

    if (desk_get(waits->desk, wait->watcher.token, on_got, wait, &err) == 0)
        return;
    uint64_t now = clock_mono_us();
    (void)pthread_mutex_lock(&waits->lock);
    sleep_until(wait, now + RETRY_US, now); /* whatever the deadline: the desk is full */
    (void)pthread_mutex_unlock(&waits->lock);
}

static void on_changed(struct watcher *watcher, enum submission_state state)
{
    struct wait *wait = (struct wait *)watcher;
    struct waits *waits = wait->waits;

    if (!submission_state_is_final(state))
        return;
    (void)pthread_mutex_lock(&waits->lock);
    bool starts = wait->timer.is_set;
    if (starts)
        timer_clear(&waits->timers, &wait->timer);
    else
        wait->again = true;
    (void)pthread_mutex_unlock(&waits->lock);
    if (starts)
        start_reading(wait);
}

/* It is awake.  false: it is to be read after all. */
static bool hand_over(struct wait *wait, const struct store_view *end)
{
    struct store_view copy = *end;
    struct error err;

    buf_init(&copy.result, end->result.len + 1);
    if ((end->result.len == 0 || buf_append_text(&copy.result, buf_text(&end->result), &err) == 0) &&
        desk_hand(wait->waits->desk, wait->watcher.token, &copy, on_got, wait, &err) == 0)
        return true;
    store_view_done(&copy);
    return false;
}

static void on_ended(struct watcher *watcher, const struct store_view *end)
{
    struct wait *wait = (struct wait *)watcher;
    struct waits *waits = wait->waits;

    (void)pthread_mutex_lock(&waits->lock);
    bool starts = wait->timer.is_set; /* else on_changed, which comes later, sees to it */
    timer_clear(&waits->timers, &wait->timer);
    (void)pthread_mutex_unlock(&waits->lock);
    if (starts && (end == NULL || !hand_over(wait, end)))
        start_reading(wait);
}

/* With the lock: sleeps until something may be due. */
static void await_timers(struct waits *waits)
{
    waits->wakes_us = timer_wheel_next_us(&waits->timers);
    if (waits->wakes_us == UINT64_MAX) {
        (void)pthread_cond_wait(&waits->changed, &waits->lock);
        return;
    }
    struct timespec until = { .tv_sec = (time_t)(waits->wakes_us / 1000000),
                              .tv_nsec = (long)(waits->wakes_us % 1000000) * 1000 };
    (void)pthread_cond_timedwait(&waits->changed, &waits->lock, &until);
}

static void *tick(void *context)
{
    struct waits *waits = context;

    (void)pthread_mutex_lock(&waits->lock);
    while (!waits->is_ending) {
        struct timer *due = timer_wheel_due(&waits->timers, clock_mono_us());
        if (due == NULL) {
            await_timers(waits);
            continue;
        }
        struct wait *wait = (struct wait *)((char *)due - offsetof(struct wait, timer));
        (void)pthread_mutex_unlock(&waits->lock);
        start_reading(wait);
        (void)pthread_mutex_lock(&waits->lock);
    }
    (void)pthread_mutex_unlock(&waits->lock);
    return NULL;
}

/* ---- the life of a wait --------------------------------------------------------------------------------------- */

struct wait *wait_new(struct waits *waits, const char token[TOKEN_BYTES], struct exchange *exchange,
                      enum wait_answer answer, uint64_t wait_us, struct error *err)
{
    struct wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL) {
        error_set(err, ERROR_BUSY, ENOMEM, "wait for submission %s", token);
        return NULL;
    }
    uint64_t now = clock_mono_us();
    memcpy(wait->watcher.token, token, TOKEN_BYTES);
    wait->watcher.changed = on_changed;
    wait->watcher.ended = on_ended;
    wait->waits = waits;
    wait->exchange = exchange;
    wait->answer = answer;
    wait->deadline_us = wait_us == WAIT_FOR_EVER ? WAIT_FOR_EVER : now + wait_us;
    (void)pthread_mutex_lock(&waits->lock);
    wait->next = waits->first;
    if (waits->first != NULL)
        waits->first->previous = wait;
    waits->first = wait;
    waits->len++;
    (void)pthread_mutex_unlock(&waits->lock);
    watch_add(waits->watch, &wait->watcher);
    return wait;
}

void wait_go(struct wait *wait, bool reads)
{
    struct waits *waits = wait->waits;

    (void)pthread_mutex_lock(&waits->lock);
    assert(!wait->goes);
    bool starts = reads || wait->again;
    wait->goes = true;
    wait->is_first_read = reads;
    wait->again = false;
    if (!starts)
        sleep_for(wait, waits->is_draining ? 0 : SAFETY_US, clock_mono_us());
    (void)pthread_mutex_unlock(&waits->lock);
    if (starts)
        start_reading(wait);
}

void wait_forget(struct wait *wait)
{
    assert(!wait->goes);
    wait_free(wait);
}

int waits_open(struct desk *desk, struct watch *watch, struct waits **ret, struct error *err)
{
    struct waits *waits = calloc(1, sizeof *waits);
    pthread_condattr_t monotonic;

    if (waits == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "open the table of waits");
    waits->desk = desk;
    waits->watch = watch;
    timer_wheel_init(&waits->timers, clock_mono_us());
    (void)pthread_mutex_init(&waits->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&waits->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    int os = pthread_create(&waits->ticker, NULL, tick, waits);
    if (os != 0) {
        free(waits);
        return error_set(err, ERROR_SETUP, os, "start the ticker of waits");
    }
    *ret = waits;
    return 0;
}

void waits_drain(struct waits *waits)
{
    uint64_t now = clock_mono_us();
    (void)pthread_mutex_lock(&waits->lock);
    waits->is_draining = true;
    for (struct wait *at = waits->first; at != NULL; at = at->next)
        if (at->timer.is_set)
            sleep_for(at, 0, now);
    (void)pthread_mutex_unlock(&waits->lock);
}

void waits_close(struct waits *waits)
{
    if (waits == NULL)
        return;
    (void)pthread_mutex_lock(&waits->lock);
    waits->is_ending = true;
    (void)pthread_cond_signal(&waits->changed);
    (void)pthread_mutex_unlock(&waits->lock);
    (void)pthread_join(waits->ticker, NULL);
    while (waits->first != NULL) { /* the desk was too full to the very end; the server has answered for them */
        struct wait *left = waits->first;
        struct error err;
        error_set(&err, ERROR_STORE, 0, "the server stopped while %s was waited for", left->watcher.token);
        exchange_answer_error(left->exchange, &err);
        wait_free(left);
    }
    (void)pthread_cond_destroy(&waits->changed);
    (void)pthread_mutex_destroy(&waits->lock);
    free(waits);
}
