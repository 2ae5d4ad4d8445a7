/* wake: as many claimers are woken as are needed; promise 6, store_wake and store_watch. */
#include "store_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { CROWD = 8 };

/* A waiting claimer, on its own thread. */
struct sleeper {
    struct store *store;
    const char *const *queues;
    pthread_t thread;
    size_t claimed;
    int result;
    char token[TOKEN_BYTES];
    uint64_t returned_ms;
    _Atomic bool returned;
};

static void *sleep_until_claimed(void *context)
{
    struct sleeper *sleeper = context;
    struct store_worker worker = worker_named("sleeper");
    struct store_claim claim;
    struct error err;
    worker.queues = sleeper->queues;
    sleeper->result = store_claim(sleeper->store, &worker, 1, 30000, &claim, &sleeper->claimed, &err);
    if (sleeper->result == 0 && sleeper->claimed == 1) {
        memcpy(sleeper->token, claim.token, TOKEN_BYTES);
        store_claim_done(&claim);
    }
    sleeper->returned_ms = now_ms();
    atomic_store(&sleeper->returned, true);
    return NULL;
}

static void sleepers_start(struct sleeper sleepers[], size_t len, struct store *store, const char *const *queues)
{
    for (size_t i = 0; i < len; i++) {
        sleepers[i] = (struct sleeper){ .store = store, .queues = queues };
        assert_int_equal(pthread_create(&sleepers[i].thread, NULL, sleep_until_claimed, &sleepers[i]), 0);
    }
    nap_ms(300); /* until all of them wait; a slower one makes the test easier, not wrong */
}

static size_t returned(const struct sleeper sleepers[], size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += atomic_load(&sleepers[i].returned);
    return count;
}

static void wait_returned(const struct sleeper sleepers[], size_t len, size_t expected)
{
    uint64_t until = now_ms() + 5000;
    while (returned(sleepers, len) < expected && now_ms() < until)
        nap_ms(5);
    assert_int_equal(returned(sleepers, len), expected);
}

static void sleepers_end(struct sleeper sleepers[], size_t len)
{
    store_wake(sleepers[0].store);
    uint64_t from = now_ms();
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(pthread_join(sleepers[i].thread, NULL), 0);
        assert_int_equal(sleepers[i].result, 0);
    }
    assert_true(now_ms() - from < 1500); /* not at the end of a slice of the wait */
}

static void one_add_wakes_one_claimer_of_many(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct sleeper sleepers[CROWD];
    sleepers_start(sleepers, CROWD, store, queues_all);
    uint64_t asked = store_fixture.is_redis ? fixture_redis_calls("evalsha") + fixture_redis_calls("eval") : 0;
    for (size_t i = 1; i <= 3; i++) {
        char token[TOKEN_BYTES];
        uint64_t added_ms = now_ms();
        add_one(store, queues_all[i % 3], PRIORITY_NORMAL, token);
        wait_returned(sleepers, CROWD, i);
        size_t found = 0;
        for (size_t j = 0; j < CROWD; j++) {
            if (strcmp(sleepers[j].token, token) != 0)
                continue;
            print_message("  woken after %llu ms\n", (unsigned long long)(sleepers[j].returned_ms - added_ms));
            found++;
        }
        assert_int_equal(found, 1);
    }
    nap_ms(200);
    assert_int_equal(returned(sleepers, CROWD), 3);
    if (store_fixture.is_redis) { /* three adds, three claims: no other claimer sent a request */
        asked = fixture_redis_calls("evalsha") + fixture_redis_calls("eval") - asked;
        assert_in_range(asked, 6, 7); /* one may have had to send the text of the script */
    }
    sleepers_end(sleepers, CROWD);
    store_close(store);
}

static void a_batch_wakes_as_many_as_it_holds(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct sleeper sleepers[CROWD];
    struct store_new news[5];
    sleepers_start(sleepers, CROWD, store, queues_all);
    for (size_t i = 0; i < 5; i++) {
        news[i] = (struct store_new){ .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
        fixture_name(store, news[i].token);
    }
    must(store_add(store, news, 5, &err));
    wait_returned(sleepers, CROWD, 5);
    nap_ms(200);
    assert_int_equal(returned(sleepers, CROWD), 5);
    sleepers_end(sleepers, CROWD);
    store_close(store);
}

static void claimers_of_other_queues_keep_waiting(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    static const char *const only_c[] = { "c", NULL }, *const only_python[] = { "python", NULL };
    struct sleeper c, python;
    sleepers_start(&c, 1, store, only_c);
    sleepers_start(&python, 1, store, only_python);
    add_one(store, "python", PRIORITY_NORMAL, NULL);
    wait_returned(&python, 1, 1);
    nap_ms(100);
    assert_int_equal(returned(&c, 1), 0);
    add_one(store, "c", PRIORITY_NORMAL, NULL);
    wait_returned(&c, 1, 1);
    assert_int_equal(pthread_join(c.thread, NULL), 0);
    assert_int_equal(pthread_join(python.thread, NULL), 0);
    assert_int_equal(c.claimed + python.claimed, 2);
    store_close(store);
}

/* Woken for one queue, served the older submission of another: the wakeup must reach the next claimer. */
static void no_wake_up_is_lost_between_queues(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    for (int round = 0; round < 20; round++) {
        struct sleeper sleepers[3];
        struct store_new news[3];
        static const char *const mixed[] = { "python", "c", "bash" };
        for (size_t i = 0; i < 3; i++) {
            sleepers[i] = (struct sleeper){ .store = store, .queues = queues_all };
            assert_int_equal(pthread_create(&sleepers[i].thread, NULL, sleep_until_claimed, &sleepers[i]), 0);
            news[i] = (struct store_new){ .priority = PRIORITY_NORMAL, .payload = TEXT("work") };
            (void)snprintf(news[i].queue, sizeof news[i].queue, "%s", mixed[i]);
            fixture_name(store, news[i].token);
        }
        nap_ms(round % 4 == 0 ? 30 : 0);
        must(store_add(store, news, 3, &err));
        wait_returned(sleepers, 3, 3); /* well before reaping or the end of their wait */
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(pthread_join(sleepers[i].thread, NULL), 0);
            assert_int_equal(sleepers[i].claimed, 1);
        }
    }
    store_close(store);
}

static void released_and_lost_submissions_wake_too(void **state)
{
    (void)state;
    store_fixture.config.lease_ms = 700;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES];
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_true(claim_one(store, NULL, NULL));
    struct sleeper sleeper;
    sleepers_start(&sleeper, 1, store, queues_all);
    assert_int_equal(returned(&sleeper, 1), 0);
    must(store_release(store, token, 1, &err));
    wait_returned(&sleeper, 1, 1);
    assert_int_equal(pthread_join(sleeper.thread, NULL), 0);
    assert_string_equal(sleeper.token, token);

    sleepers_start(&sleeper, 1, store, queues_all); /* the first claimer is never heard of again */
    uint64_t until = now_ms() + 10000;
    while (returned(&sleeper, 1) == 0 && now_ms() < until) {
        must(store_reap_expired(store, &err));
        nap_ms(20);
    }
    assert_int_equal(pthread_join(sleeper.thread, NULL), 0);
    assert_string_equal(sleeper.token, token);
    store_close(store);
}

static void a_wake_just_before_the_wait_is_not_missed(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct store_worker worker = worker_named("one");
    struct store_claim claim;
    size_t len = 1;
    uint64_t from = now_ms();
    store_wake(store);
    must(store_claim(store, &worker, 1, 20000, &claim, &len, &err));
    assert_int_equal(len, 0);
    assert_true(now_ms() - from < 5000);
    from = now_ms();
    must(store_claim(store, &worker, 1, 150, &claim, &len, &err)); /* and is used up */
    assert_true(now_ms() - from >= 140);
    store_close(store);
}

/* ---- watching ---- */

struct seen {
    pthread_mutex_t lock;
    char token[TOKEN_BYTES];
    char states[64]; /* a digit for each state, followed by 'c' if cancelled */
};

static void note_move(void *context, const char token[TOKEN_BYTES], enum submission_state state, bool cancelled)
{
    struct seen *seen = context;
    (void)pthread_mutex_lock(&seen->lock);
    size_t len = strlen(seen->states);
    if (strcmp(token, seen->token) == 0 && len + 3 < sizeof seen->states)
        (void)snprintf(seen->states + len, sizeof seen->states - len, "%d%s", (int)state, cancelled ? "c" : "");
    (void)pthread_mutex_unlock(&seen->lock);
}

static void wait_seen(struct seen *seen, const char *expected)
{
    uint64_t until = now_ms() + 5000;
    char states[sizeof seen->states] = "";
    while (strcmp(states, expected) != 0 && now_ms() < until) {
        nap_ms(5);
        (void)pthread_mutex_lock(&seen->lock);
        memcpy(states, seen->states, sizeof states);
        (void)pthread_mutex_unlock(&seen->lock);
    }
    assert_string_equal(states, expected);
}

static void a_watcher_is_notified_of_every_transition(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    /* In a fleet another process makes the transitions. */
    struct store *other = store_fixture.is_redis ? fixture_open() : store;
    static struct seen seen;
    seen = (struct seen){ .lock = PTHREAD_MUTEX_INITIALIZER };
    must(store_watch(store, note_move, &seen, &err));
    nap_ms(100); /* until it has subscribed */
    struct error twice = { 0 };
    assert_int_equal(store_watch(store, note_move, &seen, &twice), -1);

    (void)pthread_mutex_lock(&seen.lock);
    add_one(other, "c", PRIORITY_NORMAL, seen.token);
    (void)pthread_mutex_unlock(&seen.lock);
    assert_true(claim_one(other, NULL, NULL));
    must(store_release(other, seen.token, 1, &err));
    assert_true(claim_one(other, NULL, NULL));
    assert_true(finish_one(other, seen.token, 2, "[]"));
    wait_seen(&seen, "1012");

    (void)pthread_mutex_lock(&seen.lock);
    seen.states[0] = '\0';
    add_one(other, "c", PRIORITY_NORMAL, seen.token);
    (void)pthread_mutex_unlock(&seen.lock);
    assert_true(claim_one(other, NULL, NULL));
    bool cancelled = false;
    must(store_cancel(other, seen.token, &cancelled, &err));
    wait_seen(&seen, "13c");
    if (other != store)
        store_close(other);
    store_close(store);
}

/* Counts the calls of the result watcher, and keeps the latest full result. */
struct ends_seen {
    pthread_mutex_t lock;
    char token[TOKEN_BYTES];
    size_t told, in_full;
    struct store_view view; /* of the one with that token */
};

static void note_end(void *context, const char token[TOKEN_BYTES], const struct store_view *end)
{
    struct ends_seen *seen = context;
    struct error err;
    (void)pthread_mutex_lock(&seen->lock);
    seen->told++;
    if (end != NULL && strcmp(token, seen->token) == 0) {
        seen->in_full++;
        seen->view = *end;
        buf_init(&seen->view.result, end->result.len + 1);
        (void)buf_append_text(&seen->view.result, buf_text(&end->result), &err);
    }
    (void)pthread_mutex_unlock(&seen->lock);
}

static size_t ends_told(struct ends_seen *seen, size_t at_least)
{
    size_t told = 0;
    for (uint64_t until = now_ms() + 3000; told < at_least && now_ms() < until; nap_ms(5)) {
        (void)pthread_mutex_lock(&seen->lock);
        told = seen->told;
        (void)pthread_mutex_unlock(&seen->lock);
    }
    return told;
}

static void a_result_notification_equals_store_get(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct store *other = store_fixture.is_redis ? fixture_open() : store;
    static struct ends_seen seen;
    static struct seen states;
    seen = (struct ends_seen){ .lock = PTHREAD_MUTEX_INITIALIZER };
    states = (struct seen){ .lock = PTHREAD_MUTEX_INITIALIZER };
    store_watch_results(store, note_end, &seen);
    must(store_watch(store, note_move, &states, &err));
    nap_ms(100);

    (void)pthread_mutex_lock(&seen.lock);
    add_one(other, "c", PRIORITY_NORMAL, seen.token);
    (void)pthread_mutex_unlock(&seen.lock);
    assert_true(claim_one(other, NULL, NULL));
    must(store_release(other, seen.token, 1, &err));
    assert_true(claim_one(other, NULL, NULL));
    nap_ms(50);
    (void)pthread_mutex_lock(&seen.lock);
    assert_int_equal(seen.told, 0); /* these transitions are no ends */
    (void)pthread_mutex_unlock(&seen.lock);
    assert_true(finish_one(other, seen.token, 2, "[{\"stdout\":\"a b  c\\n \"}]"));
    assert_int_equal(ends_told(&seen, 1), 1);
    struct store_view view = view_of(store, seen.token);
    assert_true(view.found && view.state == SUBMISSION_COMPLETED); /* at once, without waiting for more */
    if (seen.in_full > 0) {
        assert_int_equal(seen.view.found, view.found);
        assert_int_equal(seen.view.state, view.state);
        assert_int_equal(seen.view.cancelled, view.cancelled);
        assert_int_equal(seen.view.attempt, view.attempt);
        assert_string_equal(seen.view.queue, view.queue);
        assert_true(seen.view.created_ms == view.created_ms && seen.view.started_ms == view.started_ms &&
                    seen.view.finished_ms == view.finished_ms);
        assert_true(text_equal(buf_text(&seen.view.result), buf_text(&view.result)));
        buf_done(&seen.view.result);
    }
    assert_int_equal(seen.in_full, store_fixture.is_redis ? 1 : 0);
    store_view_done(&view);
    if (other != store)
        store_close(other);
    store_close(store);
}

const struct CMUnitTest tests_wake[] = {
    A_TEST(one_add_wakes_one_claimer_of_many),         A_TEST(a_batch_wakes_as_many_as_it_holds),
    A_TEST(claimers_of_other_queues_keep_waiting),     A_TEST(no_wake_up_is_lost_between_queues),
    A_TEST(released_and_lost_submissions_wake_too),    A_TEST(a_wake_just_before_the_wait_is_not_missed),
    A_TEST(a_watcher_is_notified_of_every_transition), A_TEST(a_result_notification_equals_store_get),
};
const size_t tests_wake_len = sizeof tests_wake / sizeof *tests_wake;
