/* shards_only: several Redis servers as one store: where submissions are stored, shards that fail, join and leave. */
#include "store_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../shared_host.h"
#include "base/error.h"
#include "queue/shards/token_shard.h"

static void add_at(struct store *store, unsigned shard, char ret_token[TOKEN_BYTES])
{
    struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
    store_new_token(store, "", entry.token);
    token_set_shard(entry.token, shard);
    must(store_add(store, &entry, 1, &err));
    memcpy(ret_token, entry.token, TOKEN_BYTES);
}

static void new_submissions_are_spread_evenly(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    size_t counts[2] = { 0 };
    for (size_t i = 0; i < 100; i++) {
        char token[TOKEN_BYTES];
        add_one(store, "c", PRIORITY_NORMAL, token);
        assert_true(token_is_valid(text_of(token)));
        assert_true(token_shard(token) < 2);
        counts[token_shard(token)]++;
    }
    assert_int_equal(counts[0], 50);
    assert_int_equal(counts[1], 50);
    char only_one[64];
    (void)snprintf(only_one, sizeof only_one, "redis://127.0.0.1:%d", store_fixture.more[0].port);
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "%s", only_one);
    struct store *second = fixture_open();
    struct queue_depth *depth = depth_of(second);
    assert_int_equal(depth->waiting, 50); /* stored half and half */
    free(depth);
    store_close(second);
    store_close(store);
}

static void claims_take_turns(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    for (size_t i = 0; i < 40; i++)
        add_one(store, "c", PRIORITY_NORMAL, NULL);
    size_t counts[2] = { 0 };
    for (size_t i = 0; i < 20; i++) {
        char token[TOKEN_BYTES];
        assert_true(claim_one(store, token, NULL));
        counts[token_shard(token)]++;
    }
    assert_int_equal(counts[0], 10);
    assert_int_equal(counts[1], 10);
    store_close(store);
}

struct sleeper {
    struct store *store;
    pthread_t thread;
    int result;
    size_t len;
    char token[TOKEN_BYTES];
    uint64_t returned_ms;
    struct error err;
};

static void *sleep_until_claimed(void *context)
{
    struct sleeper *sleeper = context;
    struct store_worker worker = worker_named("sleeper");
    struct store_claim claim;
    sleeper->result = store_claim(sleeper->store, &worker, 1, 20000, &claim, &sleeper->len, &sleeper->err);
    sleeper->returned_ms = now_ms();
    if (sleeper->result == 0 && sleeper->len == 1) {
        memcpy(sleeper->token, claim.token, TOKEN_BYTES);
        store_claim_done(&claim);
    }
    return NULL;
}

static void start(struct sleeper *sleeper, struct store *store)
{
    *sleeper = (struct sleeper){ .store = store };
    assert_int_equal(pthread_create(&sleeper->thread, NULL, sleep_until_claimed, sleeper), 0);
    nap_ms(150);
}

static void one_claimer_waits_on_every_shard_and_leaves_no_wakeup_behind(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    for (unsigned round = 0; round < 20; round++) {
        struct sleeper sleeper;
        char token[TOKEN_BYTES];
        uint64_t added_ms;
        start(&sleeper, store);
        added_ms = now_ms();
        add_at(store, round % 2, token);
        assert_int_equal(pthread_join(sleeper.thread, NULL), 0);
        assert_int_equal(sleeper.len, 1);
        assert_string_equal(sleeper.token, token);
        assert_true(sleeper.returned_ms - added_ms < 1000); /* woken, not at the end of a slice */
    }
    uint64_t connections = fixture_redis_calls("client|setname");
    struct sleeper sleeper;
    char token[TOKEN_BYTES];
    start(&sleeper, store);
    add_at(store, 1, token);
    assert_int_equal(pthread_join(sleeper.thread, NULL), 0);
    assert_int_equal(fixture_redis_calls("client|setname"),
                     connections); /* only the BLPOP was ended, not its connection */
    store_close(store);
}

/* Two submissions in two shards at once, and two claimers that wait on both: each gets one, at once. */
static void two_wakeups_wake_two(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    for (int round = 0; round < 20; round++) {
        struct sleeper sleepers[2];
        char tokens[2][TOKEN_BYTES];
        struct store_new news[2];
        for (unsigned i = 0; i < 2; i++) {
            sleepers[i] = (struct sleeper){ .store = store };
            assert_int_equal(pthread_create(&sleepers[i].thread, NULL, sleep_until_claimed, &sleepers[i]), 0);
            news[i] = (struct store_new){ .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
            store_new_token(store, "", news[i].token);
            token_set_shard(news[i].token, i);
            memcpy(tokens[i], news[i].token, TOKEN_BYTES);
        }
        nap_ms(round % 2 == 0 ? 50 : 0);
        uint64_t from = now_ms();
        must(store_add(store, news, 2, &err));
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(pthread_join(sleepers[i].thread, NULL), 0);
            assert_int_equal(sleepers[i].len, 1);
            assert_true(sleepers[i].returned_ms < from + 1000);
        }
        assert_string_not_equal(sleepers[0].token, sleepers[1].token);
    }
    store_close(store);
}

static void expect_dead(struct store *store, const char *token)
{
    struct error err = { 0 };
    struct store_view view;
    bool done;
    assert_int_equal(store_get(store, &token, 1, &view, &err), -1);
    assert_int_equal(err.kind, ERROR_STORE);
    assert_non_null(strstr(err.text, "shard 2"));
    assert_int_equal(store_cancel(store, token, &done, &err), -1);
    assert_int_equal(store_finish(store, "one", token, 1, SUBMISSION_COMPLETED, TEXT("[]"), &done, &err), -1);
}

/* The second shard is down: everything except its own submissions continues, without waiting for it. */
static void expect_the_living_go_on(struct store *store, const char *held)
{
    uint64_t from = now_ms();
    for (size_t i = 0; i < 50; i++) {
        char token[TOKEN_BYTES], claimed[TOKEN_BYTES];
        add_one(store, "c", PRIORITY_NORMAL, token);
        assert_int_equal(token_shard(token), 0);
        assert_true(claim_one(store, claimed, NULL));
        assert_string_equal(claimed, token);
        assert_int_equal(beat_one(store, token, 1), LEASE_KEPT);
        assert_true(finish_one(store, token, 1, "[]"));
        expect_state(store, token, SUBMISSION_COMPLETED, "[]");
        must(store_reap_expired(store, &err));
        free(depth_of(store));
    }
    assert_int_equal(beat_one(store, held, 1), LEASE_KEPT); /* no other worker can get it */
    struct sleeper sleeper;
    char token[TOKEN_BYTES];
    start(&sleeper, store);
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_int_equal(pthread_join(sleeper.thread, NULL), 0);
    assert_int_equal(sleeper.len, 1);
    assert_true(finish_one(store, token, 1, "[]"));
    /* No call waited for a time-out: there were some four hundred. */
    assert_true(now_ms() - from < slowed(2500));
}

/* The held submission can be finished and the other two are still queued: claims find the shard again. */
static void expect_back(struct store *store, const char *held, char tokens[2][TOKEN_BYTES])
{
    struct store_view view;
    struct error err = { 0 };
    uint64_t until = now_ms() + 10000;
    const char *token = held;
    while (store_get(store, &token, 1, &view, &err) < 0) {
        if (now_ms() > until)
            fail_msg("not back: %s", err.text);
        nap_ms(20);
    }
    store_view_done(&view);
    assert_true(finish_one(store, held, 1, "[7]"));
    for (size_t i = 0; i < 2; i++) {
        char claimed[TOKEN_BYTES];
        assert_true(claim_one(store, claimed, NULL));
        assert_string_equal(claimed, tokens[i]);
        assert_true(finish_one(store, claimed, 1, "[]"));
    }
    assert_false(claim_one(store, NULL, NULL));
}

static void a_shard_goes_and_comes_back(bool hangs)
{
    struct store *store = fixture_open();
    char held[TOKEN_BYTES], tokens[2][TOKEN_BYTES];
    add_at(store, 1, held);
    assert_true(claim_one(store, NULL, NULL));
    for (size_t i = 0; i < 2; i++)
        add_at(store, 1, tokens[i]);
    if (hangs)
        assert_int_equal(kill(store_fixture.more[0].pid, SIGSTOP), 0);
    else
        fixture_more_kill(0);
    expect_dead(store, held);
    expect_the_living_go_on(store, held);
    expect_dead(store, held);
    struct sleeper sleeper; /* waits on the shard that is up, and includes the other one when that is up again */
    start(&sleeper, store);
    if (hangs)
        assert_int_equal(kill(store_fixture.more[0].pid, SIGCONT), 0);
    else
        fixture_more_start(0);
    assert_int_equal(pthread_join(sleeper.thread, NULL), 0);
    assert_int_equal(sleeper.result, 0);
    if (sleeper.len == 1) {
        assert_string_equal(sleeper.token, tokens[0]);
        must(store_release(store, tokens[0], 1, &err));
    }
    char first[TOKEN_BYTES];
    uint32_t attempt = 0;
    assert_true(finish_one(store, held, 1, "[7]"));
    size_t left = 0;
    while (claim_one(store, first, &attempt)) {
        assert_true(finish_one(store, first, attempt, "[]"));
        left++;
    }
    assert_int_equal(left, 2);
    store_close(store);
}

static void a_killed_shard_affects_only_its_submissions(void **state)
{
    (void)state;
    a_shard_goes_and_comes_back(false);
}

static void a_hanging_shard_affects_only_its_submissions(void **state)
{
    (void)state;
    a_shard_goes_and_comes_back(true);
}

static void a_shard_that_is_down_at_the_start_joins_later(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char held[TOKEN_BYTES], tokens[2][TOKEN_BYTES];
    add_at(store, 1, held);
    assert_true(claim_one(store, NULL, NULL));
    for (size_t i = 0; i < 2; i++)
        add_at(store, 1, tokens[i]);
    store_close(store);
    fixture_more_kill(0);
    store = fixture_open();
    expect_dead(store, held);
    expect_the_living_go_on(store, held);
    fixture_more_start(0);
    expect_back(store, held, tokens);
    store_close(store);
    fixture_more_kill(0);
    fixture_redis_kill();
    struct error err = { 0 };
    assert_int_equal(store_open(&store_fixture.config, &store, &err), -1); /* none answers */
    assert_int_equal(err.kind, ERROR_STORE);
    fixture_redis_start();
    fixture_more_start(0);
}

/* One Redis, then two, then three: what was accepted before is found, claimed and finished, and nothing is copied. */
static void the_list_grows_and_every_token_stays_valid(void **state)
{
    (void)state;
    char tokens[3][10][TOKEN_BYTES];
    char *list = store_fixture.config.store;
    if (store_fixture.more[1].pid == 0)
        fixture_more_start(1);
    const int ports[] = { store_fixture.port, store_fixture.more[0].port, store_fixture.more[1].port };
    for (size_t len = 1; len <= 3; len++) {
        list[0] = '\0';
        for (size_t i = 0; i < len; i++) {
            size_t at = strlen(list);
            (void)snprintf(list + at, sizeof store_fixture.config.store - at, "%sredis://127.0.0.1:%d",
                           i > 0 ? "," : "", ports[i]);
        }
        struct store *store = fixture_open();
        for (size_t i = 0; i < 10; i++)
            add_one(store, "c", PRIORITY_NORMAL, tokens[len - 1][i]);
        for (size_t had = 0; had < len; had++)
            for (size_t i = 0; i < 10; i++)
                expect_state(store, tokens[had][i], SUBMISSION_QUEUED, "");
        struct queue_depth *depth = depth_of(store);
        assert_int_equal(depth->waiting, 10 * len);
        free(depth);
        store_close(store);
    }
    struct store *store = fixture_open();
    size_t done = 0;
    char token[TOKEN_BYTES];
    while (claim_one(store, token, NULL)) {
        assert_true(finish_one(store, token, 1, "[]"));
        done++;
    }
    assert_int_equal(done, 30);
    store_close(store);
    fixture_more_kill(1);
}

/* "-" keeps the number of a removed shard: its tokens are unknown, all others stay valid. */
static void a_shard_number_can_be_unused(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char gone[TOKEN_BYTES], kept[TOKEN_BYTES];
    bool done = true;
    add_at(store, 0, gone);
    add_at(store, 1, kept);
    store_close(store);
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "redis://127.0.0.1:%d,-",
                   store_fixture.port);
    store = fixture_open();
    struct store_view view = view_of(store, kept); /* was stored in the second shard */
    assert_false(view.found);
    store_view_done(&view);
    must(store_cancel(store, kept, &done, &err));
    assert_false(done);
    assert_int_equal(beat_one(store, kept, 1), LEASE_LOST);
    expect_state(store, gone, SUBMISSION_QUEUED, "");
    char token[TOKEN_BYTES];
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_int_equal(token_shard(token), 0);
    store_close(store);

    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "-,redis://127.0.0.1:%d",
                   store_fixture.more[0].port);
    store = fixture_open();
    expect_state(store, kept, SUBMISSION_QUEUED, "");
    assert_true(claim_one(store, token, NULL)); /* also waits and wakes without the first shard */
    assert_string_equal(token, kept);
    struct sleeper sleeper;
    start(&sleeper, store);
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_int_equal(pthread_join(sleeper.thread, NULL), 0);
    assert_string_equal(sleeper.token, token);
    store_close(store);
}

/* Entries 0 and 2 belong to the first shard, 1 and 3 to the second. */
static void mixed_group(struct store *store, struct store_new news[4], const char *tokens[4])
{
    for (unsigned i = 0; i < 4; i++) {
        news[i] = (struct store_new){ .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
        store_new_token(store, "", news[i].token);
        token_set_shard(news[i].token, i % 2);
        tokens[i] = news[i].token;
    }
}

static void a_group_fails_only_for_the_shard_that_is_down(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct store_new news[4];
    struct store_added added[4];
    struct store_view views[4];
    const char *tokens[4];
    struct error ignored;
    fixture_more_kill(0);
    mixed_group(store, news, tokens);
    must(store_add_each(store, news, 4, added, &err));
    must(store_get(store, tokens, 4, views, &err));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(added[i].outcome, i % 2 == 0 ? STORE_ADDED : STORE_FAILED);
        assert_int_equal(views[i].found, i % 2 == 0);
        if (i % 2 == 1) {
            assert_int_equal(added[i].err.kind, ERROR_STORE);
            assert_non_null(strstr(added[i].err.text, "shard 2"));
            assert_int_equal(views[i].err.kind, ERROR_STORE);
            assert_non_null(strstr(views[i].err.text, "shard 2"));
        } else {
            assert_string_equal(added[i].token, tokens[i]);
            assert_int_equal(views[i].err.kind, ERROR_NONE);
        }
        store_view_done(&views[i]);
    }
    assert_int_equal(store_add(store, news, 4, &ignored), -1); /* without outcomes any failure fails the call */
    assert_int_equal(store_add_each(store, &news[1], 1, added, &ignored), -1);
    assert_int_equal(store_get(store, &tokens[1], 1, views, &ignored), -1);

    fixture_more_start(0);
    uint64_t until = now_ms() + 10000;
    while (store_get(store, &tokens[1], 1, views, &ignored) < 0) {
        assert_true(now_ms() < until);
        nap_ms(20);
    }
    store_view_done(&views[0]);
    must(store_get(store, tokens, 4, views, &err));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(views[i].err.kind, ERROR_NONE);
        assert_int_equal(views[i].found, i % 2 == 0);
        store_view_done(&views[i]);
    }
    store_close(store);
}

static void a_group_fails_only_for_the_shard_that_is_full(void **state)
{
    (void)state;
    store_fixture.config.queue_max = 4; /* two in each shard */
    struct store *store = fixture_open();
    struct store_new news[4];
    struct store_added added[4];
    const char *tokens[4];
    char token[TOKEN_BYTES];
    add_at(store, 1, token);
    mixed_group(store, news, tokens);
    must(store_add_each(store, news, 4, added, &err));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(added[i].outcome, i % 2 == 0 ? STORE_ADDED : STORE_FAILED);
        if (i % 2 == 1)
            assert_int_equal(added[i].err.kind, ERROR_BUSY);
    }
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, 3); /* of the second shard's part nothing was stored */
    free(depth);
    store_close(store);
}

static void a_full_shard_leaves_the_next_ones_to_others(void **state)
{
    (void)state;
    store_fixture.config.queue_max = 20;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES];
    for (size_t i = 0; i < 10; i++)
        add_at(store, 1, token);
    size_t accepted = 0, refused = 0;
    for (size_t i = 0; i < 12; i++) {
        struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
        struct error err = { 0 };
        store_new_token(store, "", entry.token);
        if (store_add(store, &entry, 1, &err) == 0) {
            accepted++;
        } else {
            assert_int_equal(err.kind, ERROR_BUSY);
            refused++;
        }
    }
    assert_int_equal(accepted, 10);
    assert_true(refused >= 2);
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, 20);
    free(depth);
    store_close(store);
}

const struct CMUnitTest tests_shards[] = {
    A_TEST(new_submissions_are_spread_evenly),
    A_TEST(claims_take_turns),
    A_TEST(one_claimer_waits_on_every_shard_and_leaves_no_wakeup_behind),
    A_TEST(two_wakeups_wake_two),
    A_TEST(a_killed_shard_affects_only_its_submissions),
    A_TEST(a_hanging_shard_affects_only_its_submissions),
    A_TEST(a_shard_that_is_down_at_the_start_joins_later),
    A_TEST(a_group_fails_only_for_the_shard_that_is_down),
    A_TEST(a_group_fails_only_for_the_shard_that_is_full),
    A_TEST(the_list_grows_and_every_token_stays_valid),
    A_TEST(a_shard_number_can_be_unused),
    A_TEST(a_full_shard_leaves_the_next_ones_to_others),
};
const size_t tests_shards_len = sizeof tests_shards / sizeof *tests_shards;
