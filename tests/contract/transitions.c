/* transitions: one submission through its states; promises 2, 3, 4, 8, 9. */
#include "store_fixture.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static void a_submission_goes_from_queued_to_completed(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES], claimed[TOKEN_BYTES];
    uint32_t attempt = 0;
    add_one(store, "python", PRIORITY_NORMAL, token);
    expect_state(store, token, SUBMISSION_QUEUED, "");
    assert_true(claim_one(store, claimed, &attempt));
    assert_string_equal(claimed, token);
    assert_int_equal(attempt, 1);
    expect_state(store, token, SUBMISSION_PROCESSING, "");
    assert_false(claim_one(store, NULL, NULL)); /* promise 2 */
    assert_true(finish_one(store, token, 1, "[{\"stdout\":\"\\u0000\"}]"));

    struct store_view view = view_of(store, token);
    assert_true(view.found);
    assert_int_equal(view.state, SUBMISSION_COMPLETED);
    assert_false(view.cancelled);
    assert_int_equal(view.attempt, 1);
    assert_string_equal(view.queue, "python");
    assert_string_equal(view.result.at, "[{\"stdout\":\"\\u0000\"}]");
    assert_true(view.created_ms > 1500000000000u);
    assert_true(view.created_ms <= view.started_ms);
    assert_true(view.started_ms <= view.finished_ms);
    store_view_done(&view);
    store_close(store);
}

static void payloads_and_results_are_bytes(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    size_t big = 4u << 20;
    char *bytes = malloc(big);
    assert_non_null(bytes);
    for (size_t i = 0; i < big; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    const struct text rows[] = { { bytes, big }, TEXT("a\0b\xff\r\n"), TEXT("") };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = rows[i] };
        struct store_worker worker = worker_named("one");
        struct store_claim claim;
        size_t len = 0;
        bool kept = false;
        fixture_name(store, entry.token);
        must(store_add(store, &entry, 1, &err));
        must(store_claim(store, &worker, 1, 0, &claim, &len, &err));
        assert_int_equal(len, 1);
        assert_true(text_equal(buf_text(&claim.payload), rows[i]));
        must(store_finish(store, "one", claim.token, 1, SUBMISSION_COMPLETED, buf_text(&claim.payload), &kept, &err));
        assert_true(kept);
        store_claim_done(&claim);
        struct store_view view = view_of(store, entry.token);
        assert_true(text_equal(buf_text(&view.result), rows[i]));
        store_view_done(&view);
    }
    free(bytes);
    store_close(store);
}

static void many_are_read_at_once_in_the_order_asked(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char first[TOKEN_BYTES], second[TOKEN_BYTES], unknown[TOKEN_BYTES];
    add_one(store, "c", PRIORITY_NORMAL, first);
    add_one(store, "python", PRIORITY_NORMAL, second);
    fixture_name(store, unknown);
    const char *tokens[] = { second, unknown, first };
    struct store_view views[3];
    must(store_get(store, tokens, 3, views, &err));
    assert_true(views[0].found && !views[1].found && views[2].found);
    assert_string_equal(views[0].queue, "python");
    assert_string_equal(views[2].queue, "c");
    for (int i = 0; i < 3; i++)
        store_view_done(&views[i]);
    store_close(store);
}

static void a_lost_lease_is_queued_again_then_a_dead_letter(void **state)
{
    (void)state;
    store_fixture.config.lease_ms = 150;
    store_fixture.config.attempts_max = 3;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES], claimed[TOKEN_BYTES];
    uint32_t attempt = 0;
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_true(claim_one(store, NULL, &attempt));
    for (uint32_t expected = 2; expected <= 3; expected++) {
        claim_after_reaping(store, claimed, &attempt);
        assert_string_equal(claimed, token);
        assert_int_equal(attempt, expected);
    }
    uint64_t until = now_ms() + 10000;
    struct store_view view = view_of(store, token);
    while (view.state == SUBMISSION_PROCESSING && now_ms() < until) {
        nap_ms(20);
        must(store_reap_expired(store, &err));
        store_view_done(&view);
        view = view_of(store, token);
    }
    assert_int_equal(view.state, SUBMISSION_FAILED);
    assert_false(view.cancelled);
    assert_non_null(strstr(view.result.at, "3 attempts"));
    store_view_done(&view);
    assert_false(claim_one(store, NULL, NULL));
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->dead, 1);
    assert_int_equal(depth->waiting + depth->running, 0);
    free(depth);
    store_close(store);
}

static void a_heartbeat_keeps_the_lease(void **state)
{
    (void)state;
    store_fixture.config.lease_ms = 600;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES];
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_true(claim_one(store, NULL, NULL));
    for (int i = 0; i < 15; i++) { /* twice as long as a lease */
        nap_ms(80);
        assert_int_equal(beat_one(store, token, 1), LEASE_KEPT);
        must(store_reap_expired(store, &err));
        assert_false(claim_one(store, NULL, NULL));
    }
    assert_true(finish_one(store, token, 1, "[]"));
    store_close(store);
}

static void only_the_current_attempt_can_finish_and_only_once(void **state)
{
    (void)state;
    store_fixture.config.lease_ms = 150;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES];
    uint32_t attempt = 0;
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_false(finish_one(store, token, 0, "before it was claimed"));
    assert_true(claim_one(store, NULL, NULL));
    claim_after_reaping(store, NULL, &attempt);
    assert_int_equal(attempt, 2);
    assert_false(finish_one(store, token, 1, "late"));
    expect_state(store, token, SUBMISSION_PROCESSING, "");
    assert_int_equal(beat_one(store, token, 1), LEASE_LOST);
    assert_true(finish_one(store, token, 2, "first"));
    assert_false(finish_one(store, token, 1, "late"));
    expect_state(store, token, SUBMISSION_COMPLETED, "first");
    char unknown[TOKEN_BYTES];
    fixture_name(store, unknown);
    assert_false(finish_one(store, unknown, 1, "unknown"));
    store_close(store);
}

/* A worker that lost the answer repeats the call.  The first result stays, and no other worker is answered "kept". */
static void a_repeated_finish_gets_the_same_answer(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    static const enum submission_state states[] = { SUBMISSION_COMPLETED, SUBMISSION_FAILED };
    for (size_t i = 0; i < 2; i++) {
        char token[TOKEN_BYTES];
        bool kept = true;
        add_one(store, "c", PRIORITY_NORMAL, token);
        assert_true(claim_one(store, NULL, NULL));
        must(store_finish(store, "one", token, 1, states[i], TEXT("first"), &kept, &err));
        assert_true(kept);
        for (int repeat = 0; repeat < 3; repeat++) {
            assert_true(finish_one(store, token, 1, "again"));
            must(store_finish(store, "another", token, 1, states[i], TEXT("other"), &kept, &err));
            assert_false(kept);
            assert_false(finish_one(store, token, 2, "of no attempt"));
            expect_state(store, token, states[i], "first");
        }
        assert_false(claim_one(store, NULL, NULL));
    }
    store_close(store);
}

/* The reason of a submission that was given up is not a result of the worker that held it last. */
static void a_finish_of_what_was_given_up_is_refused(void **state)
{
    (void)state;
    store_fixture.config.lease_ms = 100;
    store_fixture.config.attempts_max = 1;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES];
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_true(claim_one(store, NULL, NULL));
    nap_ms(200);
    must(store_reap_expired(store, &err));
    expect_state(store, token, SUBMISSION_FAILED, NULL);
    assert_false(finish_one(store, token, 1, "late"));
    assert_false(finish_one(store, token, 1, "late"));
    store_close(store);
}

static void a_finish_after_the_lease_was_taken_back_is_refused(void **state)
{
    (void)state;
    store_fixture.config.lease_ms = 100;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES], claimed[TOKEN_BYTES];
    uint32_t attempt = 0;
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_true(claim_one(store, NULL, NULL));
    nap_ms(200);
    must(store_reap_expired(store, &err)); /* it waits again, and whoever claims it next has the next attempt */
    assert_false(finish_one(store, token, 1, "late"));
    assert_true(claim_one(store, claimed, &attempt));
    assert_string_equal(claimed, token);
    assert_true(finish_one(store, token, attempt, "second"));
    expect_state(store, token, SUBMISSION_COMPLETED, "second");
    store_close(store);
}

static void a_release_costs_no_attempt_and_no_position(void **state)
{
    (void)state;
    store_fixture.config.attempts_max = 2;
    store_fixture.is_pinned = true; /* order holds within a shard */
    struct store *store = fixture_open();
    char first[TOKEN_BYTES], second[TOKEN_BYTES], claimed[TOKEN_BYTES];
    uint32_t attempt = 0;
    add_one(store, "c", PRIORITY_NORMAL, first);
    add_one(store, "c", PRIORITY_NORMAL, second);
    for (uint32_t i = 1; i <= 5; i++) {
        assert_true(claim_one(store, claimed, &attempt));
        assert_string_equal(claimed, first);
        assert_int_equal(attempt, i);
        must(store_release(store, first, attempt, &err));
        expect_state(store, first, SUBMISSION_QUEUED, "");
        must(store_release(store, first, attempt, &err)); /* repeated: nothing */
    }
    assert_false(finish_one(store, first, 5, "after the release"));
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, 2);
    assert_int_equal(depth->running, 0);
    free(depth);
    store_close(store);
}

static void cancelled_while_waiting_it_never_runs(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char first[TOKEN_BYTES], second[TOKEN_BYTES], claimed[TOKEN_BYTES];
    bool cancelled = false;
    add_one(store, "c", PRIORITY_NORMAL, first);
    add_one(store, "c", PRIORITY_NORMAL, second);
    must(store_cancel(store, first, &cancelled, &err));
    assert_true(cancelled);
    struct store_view view = view_of(store, first);
    assert_int_equal(view.state, SUBMISSION_FAILED);
    assert_true(view.cancelled);
    assert_string_equal(view.result.at, "cancelled");
    store_view_done(&view);
    must(store_cancel(store, first, &cancelled, &err));
    assert_false(cancelled);
    assert_true(claim_one(store, claimed, NULL));
    assert_string_equal(claimed, second);
    assert_false(claim_one(store, NULL, NULL));
    char unknown[TOKEN_BYTES];
    fixture_name(store, unknown);
    cancelled = true;
    must(store_cancel(store, unknown, &cancelled, &err));
    assert_false(cancelled);
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, 0);
    assert_int_equal(depth->running, 1);
    free(depth);
    store_close(store);
}

static void the_worker_of_a_cancelled_run_learns_of_it(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES];
    bool cancelled = false;
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_true(claim_one(store, NULL, NULL));
    assert_int_equal(beat_one(store, token, 1), LEASE_KEPT);
    must(store_cancel(store, token, &cancelled, &err));
    assert_true(cancelled);
    assert_int_equal(beat_one(store, token, 1), LEASE_CANCELLED);
    assert_int_equal(beat_one(store, token, 1), LEASE_CANCELLED);
    assert_false(finish_one(store, token, 1, "too late"));
    expect_state(store, token, SUBMISSION_FAILED, "cancelled");
    must(store_release(store, token, 1, &err));
    expect_state(store, token, SUBMISSION_FAILED, "cancelled");
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting + depth->running, 0);
    free(depth);
    store_close(store);
}

static void heartbeats_answer_for_each_lease(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct store_lease leases[130]; /* more than fit in one group */
    struct store_worker worker = worker_named("one");
    for (size_t i = 0; i < 130; i++) {
        add_one(store, "c", PRIORITY_NORMAL, leases[i].token);
        assert_true(claim_one(store, leases[i].token, &leases[i].attempt));
        leases[i].state = LEASE_LOST;
    }
    assert_true(finish_one(store, leases[1].token, 1, "[]"));
    leases[2].attempt = 7;
    fixture_name(store, leases[3].token);
    must(store_heartbeat(store, &worker, leases, 130, &err));
    for (size_t i = 0; i < 130; i++)
        assert_int_equal(leases[i].state, i >= 1 && i <= 3 ? LEASE_LOST : LEASE_KEPT);
    must(store_heartbeat(store, &worker, NULL, 0, &err));
    store_close(store);
}

/* Everything the store still knows of a token, looked up behind its back. */
static size_t traces_of(const char *token)
{
    size_t traces = 0;
    if (store_fixture.is_redis) {
        redisReply *keys = fixture_redis("KEYS *%s*", token);
        traces = keys->elements;
        freeReplyObject(keys);
        return traces;
    }
    sqlite3 *db = NULL;
    sqlite3_stmt *count = NULL;
    assert_int_equal(sqlite3_open(store_fixture.config.store + strlen("sqlite:"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT (SELECT count(*) FROM submission) + (SELECT count(*) FROM payload) + "
                                        "(SELECT count(*) FROM result) + (SELECT count(*) FROM dead)",
                                        -1, &count, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(count), SQLITE_ROW);
    traces = (size_t)sqlite3_column_int64(count, 0);
    (void)sqlite3_finalize(count);
    (void)sqlite3_close(db);
    return traces;
}

static void results_vanish_with_every_trace(void **state)
{
    (void)state;
    store_fixture.config.result_ttl_s = 1;
    struct store *store = fixture_open();
    char done[TOKEN_BYTES], cancelled[TOKEN_BYTES];
    bool was_cancelled = false;
    add_one(store, "c", PRIORITY_NORMAL, done);
    assert_true(claim_one(store, NULL, NULL));
    assert_true(finish_one(store, done, 1, "[]"));
    add_one(store, "c", PRIORITY_NORMAL, cancelled);
    must(store_cancel(store, cancelled, &was_cancelled, &err));
    expect_state(store, done, SUBMISSION_COMPLETED, "[]");
    expect_state(store, cancelled, SUBMISSION_FAILED, "cancelled");

    uint64_t until = now_ms() + 10000;
    bool found = true;
    while (found && now_ms() < until) {
        nap_ms(50);
        struct store_view first = view_of(store, done), second = view_of(store, cancelled);
        found = first.found || second.found;
        store_view_done(&first);
        store_view_done(&second);
    }
    assert_false(found);
    must(store_reap_expired(store, &err));
    store_close(store);
    assert_int_equal(traces_of(done), 0);
    assert_int_equal(traces_of(cancelled), 0);
}

const struct CMUnitTest tests_transitions[] = {
    A_TEST(a_submission_goes_from_queued_to_completed),
    A_TEST(payloads_and_results_are_bytes),
    A_TEST(many_are_read_at_once_in_the_order_asked),
    A_TEST(a_lost_lease_is_queued_again_then_a_dead_letter),
    A_TEST(a_heartbeat_keeps_the_lease),
    A_TEST(only_the_current_attempt_can_finish_and_only_once),
    A_TEST(a_repeated_finish_gets_the_same_answer),
    A_TEST(a_finish_of_what_was_given_up_is_refused),
    A_TEST(a_finish_after_the_lease_was_taken_back_is_refused),
    A_TEST(a_release_costs_no_attempt_and_no_position),
    A_TEST(cancelled_while_waiting_it_never_runs),
    A_TEST(the_worker_of_a_cancelled_run_learns_of_it),
    A_TEST(heartbeats_answer_for_each_lease),
    A_TEST(results_vanish_with_every_trace),
};
const size_t tests_transitions_len = sizeof tests_transitions / sizeof *tests_transitions;
