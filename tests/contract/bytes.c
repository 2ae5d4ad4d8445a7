/* bytes: the budgets of payloads and results, of the store and of each client. */
#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* All submissions of a test are in one shard, which has half of each budget. */
static uint64_t budget(uint64_t bytes)
{
    store_fixture.is_pinned = true;
    return store_fixture.is_shards ? 2 * bytes : bytes;
}

/* Adds a payload of so many bytes for a client ("": none). */
static enum store_outcome add_bytes(struct store *store, const char *client, size_t len, char ret_token[TOKEN_BYTES],
                                    struct error *err)
{
    char *payload = calloc(1, len + 1);
    assert_non_null(payload);
    struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = { payload, len } };
    struct store_added added = { .outcome = STORE_FAILED };
    (void)snprintf(entry.client.name, sizeof entry.client.name, "%s", client);
    fixture_name(store, entry.token);
    if (ret_token != NULL)
        memcpy(ret_token, entry.token, TOKEN_BYTES);
    if (store_add_each(store, &entry, 1, &added, err) < 0)
        added.outcome = STORE_FAILED;
    free(payload);
    return added.outcome;
}

/* Claims one and finishes it with a result of so many bytes. */
static bool run_one(struct store *store, size_t result_len)
{
    struct store_worker worker = worker_named("one");
    struct store_claim claim;
    size_t len = 0;
    must(store_claim(store, &worker, 1, 0, &claim, &len, &err));
    if (len == 0)
        return false;
    char *result = calloc(1, result_len + 1);
    assert_non_null(result);
    bool kept = false;
    must(store_finish(store, "one", claim.token, claim.attempt, SUBMISSION_COMPLETED,
                      ((struct text){ result, result_len }), &kept, &err));
    assert_true(kept);
    free(result);
    store_claim_done(&claim);
    return true;
}

static void expect_held(struct store *store, uint64_t queue_bytes, uint64_t results_bytes)
{
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->queue_bytes, queue_bytes);
    assert_int_equal(depth->results_bytes, results_bytes);
    free(depth);
}

static void expect_busy(struct store *store, size_t len, const char *words)
{
    struct error why = { 0 };
    char token[TOKEN_BYTES];
    assert_int_equal(add_bytes(store, "", len, token, &why), STORE_FAILED);
    assert_int_equal(why.kind, ERROR_BUSY);
    if (strstr(why.text, words) == NULL)
        fail_msg("expected \"%s\" in: %s", words, why.text);
    struct store_view view = view_of(store, token);
    assert_false(view.found);
    store_view_done(&view);
}

static void payloads_have_a_budget(void **state)
{
    (void)state;
    store_fixture.config.queue_bytes = budget(1000);
    struct store *store = fixture_open();
    struct error why = { 0 };
    char token[TOKEN_BYTES];
    bool cancelled = false;
    assert_int_equal(add_bytes(store, "", 5000, token, &why), STORE_ADDED); /* alone it is always taken */
    expect_busy(store, 1, "queue_bytes");
    must(store_cancel(store, token, &cancelled, &err));
    expect_held(store, 0, strlen("cancelled"));
    assert_int_equal(add_bytes(store, "", 600, NULL, &why), STORE_ADDED);
    expect_busy(store, 500, "queue_bytes");
    assert_int_equal(add_bytes(store, "", 400, NULL, &why), STORE_ADDED);
    assert_true(run_one(store, 7));
    expect_held(store, 400, strlen("cancelled") + 7);
    assert_int_equal(add_bytes(store, "", 600, NULL, &why), STORE_ADDED); /* running ones count, ended ones do not */
    expect_busy(store, 1, "queue_bytes");
    store_close(store);
    store = fixture_open(); /* what was counted is known again */
    expect_held(store, 1000, strlen("cancelled") + 7);
    expect_busy(store, 1, "queue_bytes");
    store_close(store);
}

static void a_client_has_its_own_budgets(void **state)
{
    (void)state;
    store_fixture.config.client_queue_bytes = budget(1000);
    store_fixture.config.client_results_bytes = budget(1000);
    struct store *store = fixture_open();
    struct error why = { 0 };
    assert_int_equal(add_bytes(store, "anna", 700, NULL, &why), STORE_ADDED);
    assert_int_equal(add_bytes(store, "anna", 700, NULL, &why), STORE_CLIENT_QUEUE_BYTES);
    assert_true(run_one(store, 1000));
    assert_int_equal(add_bytes(store, "bert", 700, NULL, &why), STORE_ADDED);
    assert_int_equal(add_bytes(store, "", 70000, NULL, &why), STORE_ADDED); /* without a name: no such budget */
    assert_true(run_one(store, 10) && run_one(store, 10));
    expect_held(store, 0, 1020);
    enum store_outcome anna = add_bytes(store, "anna", 1, NULL, &why), bert = add_bytes(store, "bert", 1, NULL, &why);
    assert_int_equal(anna, STORE_CLIENT_RESULTS_BYTES);
    assert_int_equal(bert, STORE_ADDED);
    store_close(store);
    store = fixture_open();
    assert_int_equal(add_bytes(store, "anna", 1, NULL, &why), STORE_CLIENT_RESULTS_BYTES);
    assert_int_equal(add_bytes(store, "bert", 1, NULL, &why), STORE_ADDED);
    store_close(store);
}

/* A group is checked entry by entry: a client cannot exceed its budget within one call. */
static void the_budget_of_a_client_holds_within_a_group(void **state)
{
    (void)state;
    store_fixture.config.client_queue_bytes = budget(1000);
    struct store *store = fixture_open();
    static char payload[400];
    struct store_new news[4];
    struct store_added added[4];
    for (size_t i = 0; i < 4; i++) {
        news[i] = (struct store_new){ .priority = PRIORITY_LOW, .queue = "c", .payload = { payload, sizeof payload } };
        (void)snprintf(news[i].client.name, sizeof news[i].client.name, "anna");
        fixture_name(store, news[i].token);
    }
    must(store_add_each(store, news, 4, added, &err));
    assert_int_equal(added[0].outcome, STORE_ADDED);
    assert_int_equal(added[1].outcome, STORE_ADDED);
    assert_int_equal(added[2].outcome, STORE_CLIENT_QUEUE_BYTES);
    assert_int_equal(added[3].outcome, STORE_CLIENT_QUEUE_BYTES);
    must(store_add_each(store, news, 2, added, &err)); /* a repetition of the same add */
    assert_int_equal(added[1].outcome, STORE_ADDED);
    expect_held(store, 800, 0);
    store_close(store);
}

static void full_results_stop_work_and_lose_nothing(void **state)
{
    (void)state;
    store_fixture.config.results_bytes = budget(1000);
    store_fixture.config.result_ttl_min_s = 1;
    struct store *store = fixture_open();
    struct error why = { 0 };
    char first[TOKEN_BYTES], second[TOKEN_BYTES], third[TOKEN_BYTES];
    assert_int_equal(add_bytes(store, "", 10, first, &why), STORE_ADDED);
    assert_int_equal(add_bytes(store, "", 10, second, &why), STORE_ADDED);
    assert_int_equal(add_bytes(store, "", 10, third, &why), STORE_ADDED);
    assert_true(run_one(store, 400)); /* less than half: it is kept for an hour */
    assert_true(run_one(store, 600)); /* more than half: for a second */
    expect_busy(store, 1, "results_bytes");
    assert_false(run_one(store, 1)); /* the third waits */
    expect_state(store, first, SUBMISSION_COMPLETED, NULL);
    expect_state(store, second, SUBMISSION_COMPLETED, NULL);
    expect_state(store, third, SUBMISSION_QUEUED, NULL);

    /* A claimer that waits gets it as soon as the second result has expired. */
    struct store_worker worker = worker_named("one");
    struct store_claim claim;
    size_t len = 0;
    uint64_t until = now_ms() + 10000;
    while (len == 0 && now_ms() < until) {
        must(store_reap_expired(store, &err));
        must(store_claim(store, &worker, 1, 300, &claim, &len, &err));
    }
    assert_int_equal(len, 1);
    assert_string_equal(claim.token, third);
    store_claim_done(&claim);
    expect_state(store, first, SUBMISSION_COMPLETED, NULL);
    expect_held(store, 10, 400);
    assert_int_equal(add_bytes(store, "", 10, NULL, &why), STORE_ADDED);
    store_close(store);
}

static void a_full_client_shortens_only_its_own_results(void **state)
{
    (void)state;
    store_fixture.config.client_results_bytes = budget(1000);
    store_fixture.config.result_ttl_min_s = 1;
    struct store *store = fixture_open();
    struct error why = { 0 };
    char anna[TOKEN_BYTES], bert[TOKEN_BYTES];
    assert_int_equal(add_bytes(store, "anna", 10, anna, &why), STORE_ADDED);
    assert_true(run_one(store, 600));
    assert_int_equal(add_bytes(store, "bert", 10, bert, &why), STORE_ADDED);
    assert_true(run_one(store, 400));
    uint64_t until = now_ms() + 10000;
    struct store_view view = view_of(store, anna);
    while (view.found && now_ms() < until) {
        store_view_done(&view);
        nap_ms(50);
        must(store_reap_expired(store, &err));
        view = view_of(store, anna);
    }
    assert_false(view.found);
    store_view_done(&view);
    expect_state(store, bert, SUBMISSION_COMPLETED, NULL);
    until = now_ms() + 10000;
    struct queue_depth *depth = depth_of(store);
    while (depth->results_bytes != 400 && now_ms() < until) {
        free(depth);
        nap_ms(50);
        must(store_reap_expired(store, &err));
        depth = depth_of(store);
    }
    assert_int_equal(depth->results_bytes, 400);
    free(depth);
    store_close(store);
}

/* Dead letters take a quarter of queue_bytes; the oldest go first. */
static void dead_letters_have_a_budget(void **state)
{
    (void)state;
    store_fixture.config.queue_bytes = budget(4000);
    store_fixture.config.lease_ms = 1000;
    store_fixture.config.attempts_max = 1;
    struct store *store = fixture_open();
    struct error why = { 0 };
    struct store_worker worker = worker_named("one");
    char tokens[3][TOKEN_BYTES];
    struct store_dead dead;
    bool found;
    for (size_t i = 0; i < 3; i++) {
        struct store_claim claim;
        size_t len = 0;
        assert_int_equal(add_bytes(store, "", 400, tokens[i], &why), STORE_ADDED);
        must(store_claim(store, &worker, 1, 0, &claim, &len, &err));
        assert_int_equal(len, 1);
        store_claim_done(&claim);
        uint64_t until = now_ms() + 10000;
        for (found = false; !found && now_ms() < until; nap_ms(20)) {
            must(store_reap_expired(store, &err));
            must(store_dead_get(store, tokens[i], &dead, &found, &err));
            if (found)
                store_dead_done(&dead);
        }
        assert_true(found);
    }
    must(store_dead_get(store, tokens[0], &dead, &found, &err));
    assert_false(found);
    must(store_dead_get(store, tokens[1], &dead, &found, &err));
    assert_true(found);
    store_dead_done(&dead);
    bool retried = false;
    must(store_dead_retry(store, tokens[1], &retried, &err));
    assert_true(retried);
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->queue_bytes, 400);
    free(depth);
    store_close(store);
}

/* Adds 100 bytes and leases them. */
static void lease_100(struct store *store, const char *client, char ret_token[TOKEN_BYTES])
{
    struct store_worker worker = worker_named("one");
    struct store_claim claim;
    struct error why = { 0 };
    size_t len = 0;
    assert_int_equal(add_bytes(store, client, 100, ret_token, &why), STORE_ADDED);
    must(store_claim(store, &worker, 1, 0, &claim, &len, &err));
    assert_int_equal(len, 1);
    assert_string_equal(claim.token, ret_token);
    assert_int_equal(claim.attempt, 1);
    store_claim_done(&claim);
}

/* Whatever way a submission leaves the queue, or returns to it, its payload is counted once. */
static void every_way_keeps_the_sums(void **state)
{
    (void)state;
    store_fixture.config.returns_max = 1;
    budget(0);
    struct store *store = fixture_open();
    char token[TOKEN_BYTES], parked[TOKEN_BYTES];
    static const char *const clients[] = { "", "anna" };
    uint64_t results = 0;
    bool done = false, again = false;
    for (size_t i = 0; i < 2; i++) {
        lease_100(store, clients[i], token);
        must(store_release(store, token, 1, &err));
        must(store_release(store, token, 1, &err)); /* repeated: nothing */
        expect_held(store, 100, results);
        assert_true(run_one(store, 50));
        results += 50;
        expect_held(store, 0, results);

        lease_100(store, clients[i], token);
        must(store_cancel(store, token, &done, &err));
        must(store_cancel(store, token, &again, &err));
        must(store_finish(store, "one", token, 1, SUBMISSION_COMPLETED, TEXT("late"), &again, &err));
        assert_true(done && !again);
        results += strlen("cancelled");
        expect_held(store, 0, results);

        lease_100(store, clients[i], token); /* returned once too often: a dead letter, which is retried */
        must(store_return(store, token, 1, "reason", &err));
        must(store_return(store, token, 1, "reason", &err));
        results += strlen("reason");
        expect_held(store, 0, results);
        must(store_dead_retry(store, token, &done, &err));
        must(store_dead_retry(store, token, &again, &err));
        if (!store_fixture.is_redis) /* there it is counted until it would have expired */
            results -= strlen("reason");
        expect_held(store, 100, results);
        must(store_cancel(store, token, &done, &err));
        results += strlen("cancelled");
        expect_held(store, 0, results);
    }
    struct store_new entry = { .queue = "c", .payload = TEXT("work"), .client = { .name = "anna", .running_max = 1 } };
    struct store_added added;
    lease_100(store, "anna", token);
    fixture_name(store, entry.token);
    memcpy(parked, entry.token, sizeof parked);
    must(store_add_each(store, &entry, 1, &added, &err));
    expect_held(store, 104, results);
    must(store_cancel(store, parked, &done, &err));
    assert_true(done);
    results += strlen("cancelled");
    expect_held(store, 100, results);
    store_close(store);
    store = fixture_open();
    expect_held(store, 100, results);
    store_close(store);
}

/* What a finish of version 0.2 does on Redis: it counts no bytes. */
static void end_as_an_older_version(const char *token)
{
    const char *prefix = store_fixture.config.redis_prefix;
    freeReplyObject(fixture_redis("HINCRBY {%s}:depth r:c -1", prefix));
    freeReplyObject(fixture_redis("ZREM {%s}:leases %s", prefix, token));
    freeReplyObject(fixture_redis("DEL {%s}:job:%s", prefix, token));
    freeReplyObject(fixture_redis("HSET {%s}:sub:%s state 2 by old", prefix, token));
    freeReplyObject(fixture_redis("HINCRBY {%s}:client:anna a -1", prefix));
}

/* The budget is not used up by what workers of version 0.2 ended, also while other submissions wait and run. */
static void what_an_older_version_ends_is_counted_anew(void **state)
{
    (void)state;
    if (!store_fixture.is_redis || store_fixture.is_shards)
        return;
    store_fixture.config.queue_bytes = 1000;
    store_fixture.config.client_queue_bytes = 500;
    struct store *store = fixture_open();
    struct error why = { 0 };
    char old[TOKEN_BYTES], running[TOKEN_BYTES];
    lease_100(store, "bert", running);
    assert_int_equal(add_bytes(store, "", 10, NULL, &why), STORE_ADDED);
    assert_true(run_one(store, 1));
    lease_100(store, "anna", old);
    end_as_an_older_version(old);
    assert_int_equal(add_bytes(store, "anna", 350, NULL, &why), STORE_ADDED);
    assert_int_equal(add_bytes(store, "anna", 100, NULL, &why), STORE_CLIENT_QUEUE_BYTES);
    uint64_t until = now_ms() + 10000;
    enum store_outcome outcome = STORE_CLIENT_QUEUE_BYTES;
    while (outcome == STORE_CLIENT_QUEUE_BYTES && now_ms() < until) {
        must(store_reap_expired(store, &err));
        outcome = add_bytes(store, "anna", 100, NULL, &why);
        nap_ms(20);
    }
    assert_int_equal(outcome, STORE_ADDED);
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->queue_bytes, 100 + 350 + 100);
    free(depth);
    must(store_finish(store, "one", running, 1, SUBMISSION_COMPLETED, TEXT("[]"), &(bool){ false }, &err));
    assert_true(run_one(store, 1) && run_one(store, 1));
    depth = depth_of(store);
    assert_int_equal(depth->queue_bytes, 0);
    free(depth);
    store_close(store);
}

const struct CMUnitTest tests_bytes[] = {
    A_TEST(payloads_have_a_budget),
    A_TEST(a_client_has_its_own_budgets),
    A_TEST(the_budget_of_a_client_holds_within_a_group),
    A_TEST(full_results_stop_work_and_lose_nothing),
    A_TEST(a_full_client_shortens_only_its_own_results),
    A_TEST(dead_letters_have_a_budget),
    A_TEST(every_way_keeps_the_sums),
    A_TEST(what_an_older_version_ends_is_counted_anew),
};
const size_t tests_bytes_len = sizeof tests_bytes / sizeof *tests_bytes;
