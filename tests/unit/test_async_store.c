/* async_store: groups, failures of single entries, order, and an answer to every request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "queue/async_store.h"

/*
 * A store in memory that counts its calls and can be held up.  A group with an entry for the queue "bad" fails as a
 * whole; an entry for the queue "down", and a get of the token `down`, fail alone.
 */
struct ledger {
    struct store store; /* must come first */
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool is_held; /* calls wait until it is false */
    bool is_away; /* calls fail with ERROR_STORE */
    size_t calls, add_calls, adds, reads, cancels, waiting_calls;
    size_t largest_group;
    char down[TOKEN_BYTES];
    char served[64]; /* 'a', 'c' and 'r' in the order they were served */
};

static void enter(struct ledger *ledger)
{
    (void)pthread_mutex_lock(&ledger->lock);
    ledger->calls++;
    ledger->waiting_calls++;
    (void)pthread_cond_broadcast(&ledger->moved);
    while (ledger->is_held)
        (void)pthread_cond_wait(&ledger->moved, &ledger->lock);
    ledger->waiting_calls--;
}

static void note(struct ledger *ledger, char what)
{
    size_t len = strlen(ledger->served);
    if (len + 1 < sizeof ledger->served)
        ledger->served[len] = what;
}

static int ledger_add(struct store *store, const struct store_new news[], size_t len, struct store_added ret_added[],
                      struct error *err)
{
    struct ledger *ledger = (struct ledger *)store;
    int result = 0;
    enter(ledger);
    ledger->add_calls++;
    if (len > ledger->largest_group)
        ledger->largest_group = len;
    if (ledger->is_away)
        result = error_set(err, ERROR_STORE, 0, "away");
    for (size_t i = 0; i < len && result == 0; i++)
        if (strcmp(news[i].queue, "bad") == 0)
            result = error_set(err, ERROR_BUSY, 0, "refused");
    for (size_t i = 0; i < len && result == 0; i++) {
        if (strcmp(news[i].queue, "down") == 0) {
            ret_added[i].outcome = STORE_FAILED;
            (void)error_set(&ret_added[i].err, ERROR_STORE, 0, "down");
            continue;
        }
        ledger->adds++;
        ret_added[i] = (struct store_added){ .outcome = STORE_ADDED };
        memcpy(ret_added[i].token, news[i].token, TOKEN_BYTES);
        note(ledger, 'a');
    }
    (void)pthread_mutex_unlock(&ledger->lock);
    return result;
}

static int ledger_get(struct store *store, const char *const tokens[], size_t len, uint64_t result_max,
                      struct store_view views[], struct error *err)
{
    (void)result_max;
    struct ledger *ledger = (struct ledger *)store;
    int result = 0;
    enter(ledger);
    if (len > ledger->largest_group)
        ledger->largest_group = len;
    if (ledger->is_away)
        result = error_set(err, ERROR_STORE, 0, "away");
    for (size_t i = 0; i < len && result == 0; i++) {
        views[i] = (struct store_view){ .found = true, .state = SUBMISSION_COMPLETED };
        if (strcmp(tokens[i], ledger->down) == 0) {
            views[i] = (struct store_view){ 0 };
            (void)error_set(&views[i].err, ERROR_STORE, 0, "down");
            continue;
        }
        buf_init(&views[i].result, 64);
        if (buf_append(&views[i].result, tokens[i], TOKEN_LEN, err) < 0)
            abort();
        ledger->reads++;
    }
    (void)pthread_mutex_unlock(&ledger->lock);
    return result;
}

static int ledger_cancel(struct store *store, const char *token, bool *ret_cancelled, struct error *err)
{
    struct ledger *ledger = (struct ledger *)store;
    (void)token;
    enter(ledger);
    int result = ledger->is_away ? error_set(err, ERROR_STORE, 0, "away") : 0;
    if (result == 0) {
        ledger->cancels++;
        note(ledger, 'c');
        *ret_cancelled = true;
    }
    (void)pthread_mutex_unlock(&ledger->lock);
    return result;
}

static int ledger_retry(struct store *store, const char *token, bool *ret_retried, struct error *err)
{
    struct ledger *ledger = (struct ledger *)store;
    (void)token;
    enter(ledger);
    int result = ledger->is_away ? error_set(err, ERROR_STORE, 0, "away") : 0;
    if (result == 0) {
        note(ledger, 'r');
        *ret_retried = true;
    }
    (void)pthread_mutex_unlock(&ledger->lock);
    return result;
}

static const struct store_ops ledger_ops = {
    .add = ledger_add, .get = ledger_get, .cancel = ledger_cancel, .dead_retry = ledger_retry
};

static struct ledger ledger;
static struct async_store *async_store;

/* What the callback of one request received. */
struct answer {
    _Atomic int times;
    bool failed, cancelled;
    enum error_kind kind;
    char token[TOKEN_BYTES], result[64];
};

static void on_added(void *context, const struct store_added *added, const struct error *err)
{
    struct answer *answer = context;
    assert_true((added != NULL) == (err == NULL));
    answer->failed = err != NULL;
    answer->kind = err != NULL ? err->kind : ERROR_NONE;
    answer->times++;
}

static void on_got(void *context, struct store_view *view, const struct error *err)
{
    struct answer *answer = context;
    answer->failed = err != NULL;
    if (err != NULL)
        assert_false(view->found);
    (void)snprintf(answer->result, sizeof answer->result, "%s", view->result.at != NULL ? view->result.at : "");
    store_view_done(view);
    answer->times++;
}

static void on_cancelled(void *context, bool cancelled, const struct error *err)
{
    struct answer *answer = context;
    answer->failed = err != NULL;
    answer->cancelled = cancelled;
    answer->times++;
}

static void hold(bool held)
{
    (void)pthread_mutex_lock(&ledger.lock);
    ledger.is_held = held;
    (void)pthread_cond_broadcast(&ledger.moved);
    (void)pthread_mutex_unlock(&ledger.lock);
}

static void wait_inside(size_t calls)
{
    (void)pthread_mutex_lock(&ledger.lock);
    while (ledger.waiting_calls < calls)
        (void)pthread_cond_wait(&ledger.moved, &ledger.lock);
    (void)pthread_mutex_unlock(&ledger.lock);
}

static int add(struct answer *answer, const char *queue, struct error *err)
{
    struct store_new entry = { .priority = PRIORITY_NORMAL };
    struct buf payload;
    buf_init(&payload, 64);
    assert_int_equal(buf_append(&payload, "work", 4, err), 0);
    token_new(answer->token);
    memcpy(entry.token, answer->token, TOKEN_BYTES);
    (void)snprintf(entry.queue, sizeof entry.queue, "%s", queue);
    int result = async_store_add(async_store, &entry, &payload, on_added, answer, err);
    if (result == 0)
        assert_null(payload.at); /* taken over */
    else
        assert_non_null(payload.at);
    buf_done(&payload);
    return result;
}

static int set_up(void **state)
{
    (void)state;
    struct error err;
    ledger = (struct ledger){ .store = { .ops = &ledger_ops, .kind = "ledger" } };
    (void)pthread_mutex_init(&ledger.lock, NULL);
    (void)pthread_cond_init(&ledger.moved, NULL);
    return async_store_open(&ledger.store, 100, &async_store, &err);
}

static void requests_that_come_meanwhile_are_one_group(void **state)
{
    (void)state;
    struct error err;
    static struct answer answers[50];
    memset(answers, 0, sizeof answers);
    hold(true);
    assert_int_equal(add(&answers[0], "c", &err), 0);
    wait_inside(1);
    for (size_t i = 1; i < 50; i++)
        assert_int_equal(add(&answers[i], "c", &err), 0);
    hold(false);
    async_store_close(async_store);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(answers[i].times, 1);
        assert_false(answers[i].failed);
    }
    assert_int_equal(ledger.calls, 2);
    assert_int_equal(ledger.largest_group, 49);
}

static void a_refused_entry_fails_no_other_entry(void **state)
{
    (void)state;
    struct error err;
    static struct answer answers[10];
    memset(answers, 0, sizeof answers);
    hold(true);
    assert_int_equal(add(&answers[0], "c", &err), 0);
    wait_inside(1);
    for (size_t i = 1; i < 10; i++)
        assert_int_equal(add(&answers[i], i == 5 ? "bad" : "c", &err), 0);
    hold(false);
    async_store_close(async_store);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(answers[i].times, 1);
        assert_int_equal(answers[i].failed, i == 5);
    }
    assert_int_equal(answers[5].kind, ERROR_BUSY);
    assert_int_equal(ledger.adds, 9);
}

static void an_entry_that_fails_alone_is_not_retried_and_fails_no_other(void **state)
{
    (void)state;
    struct error err;
    static struct answer added[10], got[10];
    memset(added, 0, sizeof added);
    memset(got, 0, sizeof got);
    hold(true);
    assert_int_equal(add(&added[0], "c", &err), 0);
    wait_inside(1);
    for (size_t i = 1; i < 10; i++)
        assert_int_equal(add(&added[i], i % 2 == 1 ? "down" : "c", &err), 0);
    memcpy(ledger.down, added[3].token, TOKEN_BYTES);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(async_store_get(async_store, added[i].token, on_got, &got[i], &err), 0);
    hold(false);
    async_store_close(async_store);
    for (size_t i = 0; i < 10; i++) {
        assert_true(added[i].times == 1 && got[i].times == 1);
        assert_int_equal(added[i].failed, i % 2 == 1);
        assert_int_equal(added[i].kind, i % 2 == 1 ? ERROR_STORE : ERROR_NONE);
        assert_int_equal(got[i].failed, i == 3);
        assert_string_equal(got[i].result, i == 3 ? "" : added[i].token);
    }
    assert_int_equal(ledger.adds, 5);
    assert_int_equal(ledger.add_calls, 2); /* none was tried again alone */
}

static void a_store_that_is_down_is_called_once_a_group(void **state)
{
    (void)state;
    struct error err;
    static struct answer answers[20];
    memset(answers, 0, sizeof answers);
    hold(true);
    ledger.is_away = true;
    assert_int_equal(add(&answers[0], "c", &err), 0);
    wait_inside(1);
    for (size_t i = 1; i < 20; i++)
        assert_int_equal(add(&answers[i], "c", &err), 0);
    hold(false);
    async_store_close(async_store);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(answers[i].times, 1);
        assert_true(answers[i].failed);
        assert_int_equal(answers[i].kind, ERROR_STORE);
    }
    assert_int_equal(ledger.calls, 2);
}

static void a_cancel_is_served_after_its_add(void **state)
{
    (void)state;
    struct error err;
    static struct answer answers[6];
    memset(answers, 0, sizeof answers);
    hold(true);
    assert_int_equal(add(&answers[0], "c", &err), 0);
    wait_inside(1);
    assert_int_equal(add(&answers[1], "c", &err), 0);
    assert_int_equal(async_store_cancel(async_store, answers[1].token, on_cancelled, &answers[2], &err), 0);
    assert_int_equal(add(&answers[3], "c", &err), 0);
    assert_int_equal(add(&answers[4], "c", &err), 0);
    assert_int_equal(async_store_cancel(async_store, answers[4].token, on_cancelled, &answers[5], &err), 0);
    hold(false);
    async_store_close(async_store);
    assert_string_equal(ledger.served, "aacaac");
    assert_true(answers[2].cancelled && answers[5].cancelled);
}

static int read_ledger(struct store *store, void *context, struct error *err)
{
    struct ledger *at = (struct ledger *)store;
    struct answer *answer = context;
    enter(at);
    int result = at->is_away ? error_set(err, ERROR_STORE, 0, "away") : 0;
    (void)snprintf(answer->result, sizeof answer->result, "%zu", at->adds);
    (void)pthread_mutex_unlock(&at->lock);
    return result;
}

static void on_read(void *context, const struct error *err)
{
    struct answer *answer = context;
    answer->failed = err != NULL;
    answer->times++;
}

static void retries_and_reads_are_answered_also_when_they_fail(void **state)
{
    (void)state;
    struct error err;
    struct answer added = { 0 }, retried[2] = { 0 }, read[2] = { 0 };
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(add(&added, "c", &err), 0);
        assert_int_equal(async_store_retry(async_store, added.token, on_cancelled, &retried[i], &err), 0);
        while (retried[i].times == 0)
            (void)usleep(1000);
        assert_int_equal(async_store_read(async_store, read_ledger, on_read, &read[i], &err), 0);
        while (read[i].times == 0)
            (void)usleep(1000);
        ledger.is_away = true;
    }
    async_store_close(async_store);
    assert_string_equal(ledger.served, "ar"); /* in the order they came */
    assert_true(retried[0].cancelled && !retried[0].failed && !read[0].failed);
    assert_string_equal(read[0].result, "1");
    assert_true(retried[1].failed && !retried[1].cancelled && read[1].failed);
    assert_true(retried[1].times == 1 && read[1].times == 1);
}

static void gets_do_not_wait_for_commits(void **state)
{
    (void)state;
    struct error err;
    static struct answer added, got[70];
    memset(&added, 0, sizeof added);
    memset(got, 0, sizeof got);
    hold(true);
    assert_int_equal(add(&added, "c", &err), 0);
    wait_inside(1);
    for (size_t i = 0; i < 70; i++) {
        token_new(got[i].token);
        assert_int_equal(async_store_get(async_store, got[i].token, on_got, &got[i], &err), 0);
    }
    wait_inside(2); /* the reading thread is in the store while the writing one is held up there */
    hold(false);
    async_store_close(async_store);
    for (size_t i = 0; i < 70; i++) {
        assert_int_equal(got[i].times, 1);
        assert_string_equal(got[i].result, got[i].token); /* each its own */
    }
    assert_true(ledger.largest_group <= 64);
}

static void failed_gets_and_cancels_are_answered(void **state)
{
    (void)state;
    struct error err;
    static struct answer got, cancelled;
    memset(&got, 0, sizeof got);
    memset(&cancelled, 0, sizeof cancelled);
    ledger.is_away = true;
    token_new(got.token);
    assert_int_equal(async_store_get(async_store, got.token, on_got, &got, &err), 0);
    assert_int_equal(async_store_cancel(async_store, got.token, on_cancelled, &cancelled, &err), 0);
    async_store_close(async_store);
    assert_true(got.failed && cancelled.failed);
    assert_int_equal(got.times + cancelled.times, 2);
    assert_false(cancelled.cancelled);
}

static void beyond_requests_max_a_call_fails_and_leaves_the_payload(void **state)
{
    (void)state;
    struct error err;
    static struct answer answers[101], extra;
    memset(answers, 0, sizeof answers);
    memset(&extra, 0, sizeof extra);
    hold(true);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(add(&answers[i], "c", &err), 0);
    assert_int_equal(add(&extra, "c", &err), -1);
    assert_int_equal(err.kind, ERROR_BUSY);
    assert_int_equal(async_store_get(async_store, answers[0].token, on_got, &extra, &err), -1);
    assert_int_equal(async_store_cancel(async_store, answers[0].token, on_cancelled, &extra, &err), -1);
    hold(false);
    async_store_close(async_store);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(answers[i].times, 1);
    assert_int_equal(extra.times, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(requests_that_come_meanwhile_are_one_group, set_up),
        cmocka_unit_test_setup(a_refused_entry_fails_no_other_entry, set_up),
        cmocka_unit_test_setup(an_entry_that_fails_alone_is_not_retried_and_fails_no_other, set_up),
        cmocka_unit_test_setup(a_store_that_is_down_is_called_once_a_group, set_up),
        cmocka_unit_test_setup(a_cancel_is_served_after_its_add, set_up),
        cmocka_unit_test_setup(retries_and_reads_are_answered_also_when_they_fail, set_up),
        cmocka_unit_test_setup(gets_do_not_wait_for_commits, set_up),
        cmocka_unit_test_setup(failed_gets_and_cancels_are_answered, set_up),
        cmocka_unit_test_setup(beyond_requests_max_a_call_fails_and_leaves_the_payload, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
