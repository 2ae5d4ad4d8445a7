/* dead: dead letters and the list of workers. */
#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* Adds one and lets all of its leases expire; returns its last attempt. */
static uint32_t let_die(struct store *store, const char *client, char ret_token[TOKEN_BYTES])
{
    struct store_new entry = { .priority = PRIORITY_LOW, .queue = "c", .payload = TEXT("work") };
    fixture_name(store, entry.token);
    (void)snprintf(entry.client.name, sizeof entry.client.name, "%s", client);
    must(store_add(store, &entry, 1, &err));
    memcpy(ret_token, entry.token, TOKEN_BYTES);
    uint32_t attempt = 0;
    for (uint64_t i = 0; i < store_fixture.config.attempts_max; i++)
        claim_after_reaping(store, NULL, &attempt);
    uint64_t until = now_ms() + 10000;
    struct store_view view = { 0 };
    while (view.state != SUBMISSION_FAILED && now_ms() < until) {
        nap_ms(20);
        must(store_reap_expired(store, &err));
        view = view_of(store, ret_token);
        store_view_done(&view);
    }
    assert_int_equal(view.state, SUBMISSION_FAILED);
    return attempt;
}

static void set_short_leases(void)
{
    store_fixture.config.lease_ms = 60;
    store_fixture.config.attempts_max = 2;
}

static void a_dead_letter_keeps_its_submission(void **state)
{
    (void)state;
    set_short_leases();
    struct store *store = fixture_open();
    char token[TOKEN_BYTES], unknown[TOKEN_BYTES];
    struct store_dead dead = { 0 }, list[10];
    bool found = true;
    size_t len = 9;
    fixture_name(store, unknown);
    must(store_dead_list(store, 0, "", list, 10, &len, &err));
    assert_int_equal(len, 0);
    must(store_dead_get(store, unknown, &dead, &found, &err));
    assert_false(found);
    assert_int_equal(let_die(store, "somebody", token), 2);
    must(store_dead_list(store, 0, "", list, 10, &len, &err));
    assert_int_equal(len, 1);
    assert_int_equal(list[0].payload.len, 0);
    store_dead_done(&list[0]);
    must(store_dead_get(store, token, &dead, &found, &err));
    assert_true(found);
    assert_string_equal(dead.token, token);
    assert_string_equal(list[0].token, token);
    assert_string_equal(dead.queue, "c");
    assert_string_equal(dead.client, "somebody");
    assert_int_equal(dead.priority, PRIORITY_LOW);
    assert_int_equal(dead.attempt, 2);
    assert_true(dead.died_ms > dead.created_ms && dead.created_ms > 0);
    assert_non_null(strstr(dead.reason, "2 attempts"));
    assert_memory_equal(dead.payload.at, "work", 4);
    assert_int_equal(dead.payload.len, 4);
    store_dead_done(&dead);
    store_close(store);
}

static void the_list_is_read_in_pages(void **state)
{
    (void)state;
    store_fixture.config.lease_ms = 1;
    store_fixture.config.attempts_max = 1;
    enum { MANY = 23 };
    struct store *store = fixture_open();
    struct store_worker worker = worker_named("one");
    for (size_t i = 0; i < MANY; i++) {
        struct store_claim claim;
        size_t len;
        add_one(store, "c", PRIORITY_NORMAL, NULL);
        must(store_claim(store, &worker, 1, 0, &claim, &len, &err));
        assert_int_equal(len, 1);
        store_claim_done(&claim);
    }
    nap_ms(20);
    must(store_reap_expired(store, &err)); /* many in the same millisecond */
    char seen[MANY][TOKEN_BYTES], before_token[TOKEN_BYTES] = "";
    uint64_t before_ms = 0;
    size_t seen_len = 0, len = 5;
    while (len == 5) {
        struct store_dead page[5];
        must(store_dead_list(store, before_ms, before_token, page, 5, &len, &err));
        for (size_t i = 0; i < len; i++) {
            assert_true(seen_len < MANY);
            assert_true(before_ms == 0 || page[i].died_ms <= before_ms);
            for (size_t j = 0; j < seen_len; j++)
                assert_string_not_equal(seen[j], page[i].token);
            before_ms = page[i].died_ms;
            memcpy(before_token, page[i].token, TOKEN_BYTES);
            memcpy(seen[seen_len++], page[i].token, TOKEN_BYTES);
        }
    }
    assert_int_equal(seen_len, MANY);
    store_close(store);
}

static void a_retried_dead_letter_has_all_attempts_again(void **state)
{
    (void)state;
    set_short_leases();
    struct store *store = fixture_open();
    char token[TOKEN_BYTES], claimed[TOKEN_BYTES];
    uint32_t attempt = 0;
    bool retried = false, found = true;
    struct store_dead dead;
    assert_int_equal(let_die(store, "somebody", token), 2);
    for (int i = 0; i < 2; i++) { /* the second call changes nothing */
        retried = false;
        must(store_dead_retry(store, token, &retried, &err));
        assert_true(retried);
        expect_state(store, token, SUBMISSION_QUEUED, "");
    }
    must(store_dead_get(store, token, &dead, &found, &err));
    assert_false(found);
    assert_false(finish_one(store, token, 2, "a worker that was given up"));
    claim_after_reaping(store, claimed, &attempt);
    assert_string_equal(claimed, token);
    assert_int_equal(attempt, 3); /* the attempt number continues ... */
    assert_false(finish_one(store, token, 1, "late"));
    claim_after_reaping(store, claimed, &attempt); /* ... and one lost lease is not the end */
    assert_int_equal(attempt, 4);
    assert_true(finish_one(store, token, 4, "[]"));
    must(store_dead_retry(store, token, &retried, &err)); /* repeated later: it has ended and stays ended */
    expect_state(store, token, SUBMISSION_COMPLETED, "[]");
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting + depth->running + depth->dead, 0);
    free(depth);
    store_close(store);
}

static void only_dead_letters_are_retried(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES], unknown[TOKEN_BYTES];
    bool retried = true;
    fixture_name(store, unknown);
    must(store_dead_retry(store, unknown, &retried, &err));
    assert_false(retried);
    add_one(store, "c", PRIORITY_NORMAL, token);
    must(store_dead_retry(store, token, &retried, &err));
    assert_false(retried);
    assert_true(claim_one(store, NULL, NULL));
    must(store_dead_retry(store, token, &retried, &err));
    assert_false(retried);
    assert_true(finish_one(store, token, 1, "[]"));
    must(store_dead_retry(store, token, &retried, &err));
    assert_false(retried);
    expect_state(store, token, SUBMISSION_COMPLETED, "[]");
    store_close(store);
}

static void retried_when_its_results_are_gone_or_the_queue_is_full(void **state)
{
    (void)state;
    set_short_leases();
    store_fixture.config.result_ttl_s = 1;
    store_fixture.config.queue_max = 2;
    store_fixture.is_pinned = true;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES];
    bool retried = false;
    struct error why = { 0 };
    struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "python", .payload = TEXT("work") };
    uint32_t last = let_die(store, "", token), attempt = 0;
    nap_ms(1100);
    must(store_reap_expired(store, &err));
    struct store_view view = view_of(store, token);
    assert_false(view.found);
    store_view_done(&view);
    do
        fixture_name(store, entry.token);
    while (store_add(store, &entry, 1, &why) == 0);
    assert_int_equal(store_dead_retry(store, token, &retried, &why), -1);
    assert_int_equal(why.kind, ERROR_BUSY);
    while (claim_one(store, NULL, NULL))
        continue;
    must(store_dead_retry(store, token, &retried, &err));
    assert_true(retried);
    char claimed[TOKEN_BYTES] = "";
    while (strcmp(claimed, token) != 0)
        claim_after_reaping(store, claimed, &attempt);
    assert_true(attempt > last);
    assert_true(finish_one(store, token, attempt, "[]"));
    store_close(store);
}

static void workers_are_listed_while_they_live(void **state)
{
    (void)state;
    store_fixture.config.lease_ms = 400;
    struct store *store = fixture_open();
    struct store_worker one = worker_named("one"), two = worker_named("two");
    struct store_worker_view views[4];
    size_t len = 9;
    must(store_workers(store, views, 4, &len, &err));
    assert_int_equal(len, 0);
    two.slots = 10;
    two.running = 7;
    two.busy_milli = 9;
    must(store_heartbeat(store, &one, NULL, 0, &err));
    must(store_heartbeat(store, &two, NULL, 0, &err));
    must(store_workers(store, views, 1, &len, &err));
    assert_int_equal(len, 1);
    must(store_workers(store, views, 4, &len, &err));
    assert_int_equal(len, 2);
    const struct store_worker_view *found = strcmp(views[0].name, "two") == 0 ? &views[0] : &views[1];
    assert_string_equal(found->name, "two");
    assert_int_equal(found->slots, 10);
    assert_int_equal(found->running, 7);
    assert_int_equal(found->busy_milli, 9);
    assert_true(found->beat_ago_ms < 400);
    must(store_forget_worker(store, "two", &err));
    must(store_workers(store, views, 4, &len, &err));
    assert_int_equal(len, 1);
    nap_ms(500);
    must(store_workers(store, views, 4, &len, &err));
    assert_int_equal(len, 0);
    store_close(store);
}

static void a_returned_submission_waits_and_costs_no_lease(void **state)
{
    (void)state;
    store_fixture.config.attempts_max = 1;
    store_fixture.config.returns_max = 3;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES], claimed[TOKEN_BYTES];
    uint32_t attempt = 0;
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_true(claim_one(store, claimed, &attempt));
    must(store_return(store, token, 7, "another attempt", &err)); /* not the current one: nothing */
    uint64_t returned_ms = now_ms();
    must(store_return(store, token, 1, "no descriptor was left", &err));
    must(store_return(store, token, 1, "repeated", &err)); /* counts once */
    struct store_worker worker = worker_named("one");
    struct store_lease lease = { .attempt = 1 };
    memcpy(lease.token, token, sizeof lease.token);
    must(store_heartbeat(store, &worker, &lease, 1, &err)); /* renews nothing */
    assert_int_equal(lease.state, LEASE_LOST);
    must(store_reap_expired(store, &err));
    assert_false(claim_one(store, claimed, &attempt)); /* not at once */
    claim_after_reaping(store, claimed, &attempt);
    assert_true(now_ms() - returned_ms >= STORE_RETURN_MS_MIN);
    assert_string_equal(claimed, token);
    assert_int_equal(attempt, 2);
    assert_true(finish_one(store, token, 2, "[]"));
    store_close(store);
}

static void many_returns_end_as_a_dead_letter(void **state)
{
    (void)state;
    store_fixture.config.returns_max = 2;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES], claimed[TOKEN_BYTES];
    uint32_t attempt = 0;
    struct store_dead dead;
    bool found = false;
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_true(claim_one(store, claimed, &attempt));
    must(store_return(store, token, 1, "first reason", &err));
    claim_after_reaping(store, claimed, &attempt);
    must(store_return(store, token, 2, "second reason", &err));
    expect_state(store, token, SUBMISSION_FAILED, "second reason");
    must(store_dead_get(store, token, &dead, &found, &err));
    assert_true(found);
    assert_string_equal(dead.reason, "second reason");
    assert_memory_equal(dead.payload.at, "work", 4);
    store_dead_done(&dead);
    bool retried = false;
    must(store_dead_retry(store, token, &retried, &err));
    assert_true(retried);
    claim_after_reaping(store, claimed, &attempt);
    must(store_return(store, token, attempt, "third reason", &err)); /* all its returns are available again */
    expect_state(store, token, SUBMISSION_PROCESSING, "");
    bool cancelled = false;
    must(store_cancel(store, token, &cancelled, &err)); /* also during the delay */
    assert_true(cancelled);
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting + depth->running + depth->dead, 0);
    free(depth);
    store_close(store);
}

static void a_claim_tells_how_many_leases_were_lost(void **state)
{
    (void)state;
    set_short_leases();
    store_fixture.config.attempts_max = 3;
    struct store *store = fixture_open();
    struct store_worker worker = worker_named("one");
    struct store_claim claim;
    size_t len = 0;
    add_one(store, "c", PRIORITY_NORMAL, NULL);
    for (uint32_t lost = 0; lost < 3; lost++) {
        for (len = 0; len == 0;) {
            must(store_reap_expired(store, &err));
            must(store_claim(store, &worker, 1, 0, &claim, &len, &err));
            nap_ms(10);
        }
        assert_int_equal(claim.lost, lost);
        store_claim_done(&claim);
    }
    store_close(store);
}

const struct CMUnitTest tests_dead[] = {
    A_TEST(a_dead_letter_keeps_its_submission),
    A_TEST(the_list_is_read_in_pages),
    A_TEST(a_retried_dead_letter_has_all_attempts_again),
    A_TEST(only_dead_letters_are_retried),
    A_TEST(retried_when_its_results_are_gone_or_the_queue_is_full),
    A_TEST(a_returned_submission_waits_and_costs_no_lease),
    A_TEST(many_returns_end_as_a_dead_letter),
    A_TEST(a_claim_tells_how_many_leases_were_lost),
    A_TEST(workers_are_listed_while_they_live),
};
const size_t tests_dead_len = sizeof tests_dead / sizeof *tests_dead;
