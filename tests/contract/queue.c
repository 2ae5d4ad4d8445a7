/* queue: many submissions; promises 2, 5, 7, 10. */
#include "store_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static void the_oldest_of_the_asked_queues_comes_first(void **state)
{
    (void)state;
    store_fixture.is_pinned = true; /* order holds within a shard */
    struct store *store = fixture_open();
    static const char *const order[] = { "python", "c", "bash", "c", "python", "java", "c" };
    char tokens[7][TOKEN_BYTES];
    for (size_t i = 0; i < 7; i++)
        add_one(store, order[i], PRIORITY_NORMAL, tokens[i]);

    static const char *const queues[] = { "c", "python", NULL };
    static const size_t expected[] = { 0, 1, 3, 4, 6 };
    struct store_worker worker = worker_named("one");
    struct store_claim claims[10];
    size_t len = 0;
    worker.queues = queues;
    must(store_claim(store, &worker, 3, 0, claims, &len, &err));
    assert_int_equal(len, 3); /* not more than asked for */
    size_t more = 0;
    must(store_claim(store, &worker, 7, 0, claims + 3, &more, &err));
    assert_int_equal(more, 2); /* neither bash nor java */
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(claims[i].token, tokens[expected[i]]);
        store_claim_done(&claims[i]);
    }
    store_close(store);
}

static enum submission_priority claimed_priority(struct store *store, char tokens[][TOKEN_BYTES],
                                                 const enum submission_priority priorities[], size_t len)
{
    char claimed[TOKEN_BYTES];
    assert_true(claim_one(store, claimed, NULL));
    for (size_t i = 0; i < len; i++)
        if (strcmp(tokens[i], claimed) == 0)
            return priorities[i];
    fail_msg("claimed what was never added");
    return PRIORITY_LOW;
}

static void high_comes_first_and_low_does_not_starve(void **state)
{
    (void)state;
    enum { EACH = 40 };
    store_fixture.is_pinned = true; /* order holds within a shard */
    struct store *store = fixture_open();
    static char tokens[3 * EACH][TOKEN_BYTES];
    static enum submission_priority priorities[3 * EACH];
    for (size_t i = 0; i < 3 * EACH; i++) {
        priorities[i] = (enum submission_priority)(PRIORITY_COUNT_ - 1 - i % 3);
        add_one(store, i % 2 == 0 ? "c" : "python", priorities[i], tokens[i]);
    }
    size_t counts[PRIORITY_COUNT_] = { 0 }, since_low = 0;
    for (size_t i = 0; i < EACH; i++) {
        enum submission_priority got = claimed_priority(store, tokens, priorities, 3 * EACH);
        counts[got]++;
        since_low = got == PRIORITY_LOW ? 0 : since_low + 1;
        assert_true(since_low < 8); /* of any 8 one serves the lowest */
    }
    print_message("  of %d claims: %zu high, %zu normal, %zu low\n", EACH, counts[PRIORITY_HIGH],
                  counts[PRIORITY_NORMAL], counts[PRIORITY_LOW]);
    assert_true(counts[PRIORITY_HIGH] > EACH / 2);
    assert_true(counts[PRIORITY_NORMAL] > 0 && counts[PRIORITY_LOW] > 0);
    assert_true(counts[PRIORITY_LOW] <= EACH / 8);
    store_close(store);
}

static void workers_of_other_queues_do_not_take_the_turns_of_these(void **state)
{
    (void)state;
    store_fixture.is_pinned = true; /* order holds within a shard */
    struct store *store = fixture_open();
    static const char *const only_c[] = { "c", NULL }, *const only_python[] = { "python", NULL };
    struct store_worker workers[] = { worker_named("one"), worker_named("two") };
    workers[0].queues = only_c;
    workers[1].queues = only_python;
    for (size_t i = 0; i < 40; i++)
        add_one(store, i % 2 == 0 ? "c" : "python", PRIORITY_HIGH, NULL);
    char low[TOKEN_BYTES];
    add_one(store, "c", PRIORITY_LOW, low);
    bool served = false;
    for (size_t i = 0; i < 16; i++) { /* alternately: eight for each */
        struct store_claim claim;
        size_t len = 0;
        must(store_claim(store, &workers[i % 2], 1, 0, &claim, &len, &err));
        assert_int_equal(len, 1);
        served |= strcmp(claim.token, low) == 0;
        store_claim_done(&claim);
    }
    assert_true(served);
    store_close(store);
}

static void a_full_queue_refuses_and_keeps_nothing(void **state)
{
    (void)state;
    store_fixture.config.queue_max = store_fixture.is_shards ? 10 : 5; /* each shard gets a part of the bound */
    store_fixture.is_pinned = true;
    struct store *store = fixture_open();
    struct store_new news[3];
    for (size_t i = 0; i < 3; i++)
        add_one(store, "c", PRIORITY_NORMAL, NULL);
    for (size_t i = 0; i < 3; i++) {
        news[i] = (struct store_new){ .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
        fixture_name(store, news[i].token);
    }
    struct error why = { 0 };
    assert_int_equal(store_add(store, news, 3, &why), -1);
    assert_int_equal(why.kind, ERROR_BUSY);
    assert_non_null(strstr(why.text, "full"));
    for (size_t i = 0; i < 3; i++) {
        struct store_view view = view_of(store, news[i].token);
        assert_false(view.found);
        store_view_done(&view);
    }
    must(store_add(store, news, 2, &err));
    must(store_add(store, news, 2, &err)); /* a repeated add succeeds although the queue is full */
    assert_int_equal(store_add(store, news, 3, &why), -1);
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, 5);
    free(depth);
    assert_true(claim_one(store, NULL, NULL)); /* running submissions do not count */
    must(store_add(store, &news[2], 1, &err));
    size_t claimed = 0;
    while (claim_one(store, NULL, NULL))
        claimed++;
    assert_int_equal(claimed, 5);
    store_close(store);
}

static void the_same_token_is_added_once(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct store_new news[2] = { { .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") } };
    fixture_name(store, news[0].token);
    news[1] = news[0];
    must(store_add(store, news, 2, &err));
    must(store_add(store, news, 1, &err));
    assert_true(claim_one(store, NULL, NULL));
    must(store_add(store, news, 1, &err)); /* not even when it runs already */
    assert_false(claim_one(store, NULL, NULL));
    assert_true(finish_one(store, news[0].token, 1, "[]"));
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting + depth->running, 0);
    free(depth);
    store_close(store);
}

static void expect_queue(const struct queue_depth *depth, const char *queue, uint64_t waiting, uint64_t running)
{
    for (size_t i = 0; i < depth->queues_len; i++)
        if (strcmp(depth->queues[i].queue, queue) == 0) {
            assert_int_equal(depth->queues[i].waiting, waiting);
            assert_int_equal(depth->queues[i].running, running);
            return;
        }
    assert_true(waiting + running == 0);
}

static void depths_are_counted_by_queue(void **state)
{
    (void)state;
    store_fixture.is_pinned = true; /* order holds within a shard */
    struct store *store = fixture_open();
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting + depth->running + depth->dead + depth->oldest_wait_ms + depth->queues_len, 0);
    free(depth);
    char token[TOKEN_BYTES];
    add_one(store, "python", PRIORITY_LOW, NULL);
    nap_ms(30);
    add_one(store, "c", PRIORITY_HIGH, token);
    add_one(store, "c", PRIORITY_NORMAL, NULL);
    assert_true(claim_one(store, NULL, NULL)); /* the high one */
    depth = depth_of(store);
    assert_int_equal(depth->waiting, 2);
    assert_int_equal(depth->running, 1);
    expect_queue(depth, "c", 1, 1);
    expect_queue(depth, "python", 1, 0);
    expect_queue(depth, "bash", 0, 0);
    assert_true(depth->oldest_wait_ms >= 30 && depth->oldest_wait_ms < 60000);
    free(depth);
    assert_true(finish_one(store, token, 1, "[]"));
    while (claim_one(store, token, NULL))
        assert_true(finish_one(store, token, 1, "[]"));
    depth = depth_of(store);
    assert_int_equal(depth->waiting + depth->running + depth->oldest_wait_ms, 0);
    expect_queue(depth, "c", 0, 0);
    free(depth);
    store_close(store);
}

static void depth_costs_the_same_however_many_wait(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    enum { MANY = 3000 };
    struct store_new *news = calloc(MANY, sizeof *news);
    assert_non_null(news);
    for (size_t i = 0; i < MANY; i++) {
        news[i] = (struct store_new){ .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
        fixture_name(store, news[i].token);
    }
    uint64_t calls[2] = { 0 };
    static const char *const commands[] = { "hgetall", "zrange", "hget", "zcard", "zrangebyscore" };
    for (int round = 0; round < 2; round++) {
        must(store_add(store, news + (round == 0 ? 0 : 10), round == 0 ? 10 : MANY - 10, &err));
        for (int sign = -1; sign <= 1; sign += 2) {
            for (size_t i = 0; store_fixture.is_redis && i < sizeof commands / sizeof *commands; i++)
                calls[round] += (uint64_t)sign * fixture_redis_calls(commands[i]);
            if (sign < 0)
                free(depth_of(store));
        }
    }
    assert_int_equal(calls[0], calls[1]); /* SQLite: see no_statement_walks_through_the_submissions */
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, MANY);
    free(depth);
    free(news);
    store_close(store);
}

static void workers_are_counted_while_they_live(void **state)
{
    (void)state;
    store_fixture.config.lease_ms = 300;
    struct store *store = fixture_open();
    struct store_worker one = worker_named("one"), two = worker_named("two");
    two.slots = 10;
    two.busy_milli = 7;
    one.busy_milli = 4;
    must(store_heartbeat(store, &one, NULL, 0, &err));
    must(store_heartbeat(store, &two, NULL, 0, &err));
    one.slots = 6;
    one.busy_milli = 1;
    must(store_heartbeat(store, &one, NULL, 0, &err));
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->workers, 2);
    assert_int_equal(depth->slots, 16);
    assert_int_equal(depth->busy_milli, 8);
    free(depth);
    must(store_forget_worker(store, "two", &err));
    must(store_forget_worker(store, "nobody", &err));
    depth = depth_of(store);
    assert_int_equal(depth->workers, 1);
    assert_int_equal(depth->slots, 6);
    assert_int_equal(depth->busy_milli, 1);
    free(depth);
    nap_ms(500); /* longer than a lease: not counted any more, reaped or not */
    depth = depth_of(store);
    assert_int_equal(depth->workers, 0);
    assert_int_equal(depth->slots, 0);
    assert_int_equal(depth->busy_milli, 0);
    free(depth);
    must(store_reap_expired(store, &err));
    one.busy_milli = 5;
    must(store_heartbeat(store, &one, NULL, 0, &err));
    depth = depth_of(store);
    assert_int_equal(depth->workers, 1);
    assert_int_equal(depth->slots, 6);
    assert_int_equal(depth->busy_milli, 5); /* reaping subtracted nothing twice */
    free(depth);
    store_close(store);
}

/* ---- eight threads ---- */

enum { ADDERS = 2, CLAIMERS = 6, SUBMISSIONS = 2000, BATCH = 20 };

struct crowd {
    struct store *store;
    char tokens[SUBMISSIONS][TOKEN_BYTES];
    _Atomic unsigned claimed[SUBMISSIONS], finished;
    _Atomic unsigned failures;
    _Atomic size_t next;
};

static void *add_many(void *context)
{
    struct crowd *crowd = context;
    struct error err;
    for (size_t first; (first = atomic_fetch_add(&crowd->next, BATCH)) < SUBMISSIONS;) {
        struct store_new news[BATCH];
        for (size_t i = 0; i < BATCH; i++) {
            news[i] = (struct store_new){ .priority = (enum submission_priority)(i % PRIORITY_COUNT_) };
            (void)snprintf(news[i].queue, sizeof news[i].queue, "%s", queues_all[i % 3]);
            memcpy(news[i].token, crowd->tokens[first + i], TOKEN_BYTES);
            news[i].payload = (struct text){ crowd->tokens[first + i], TOKEN_LEN };
        }
        if (store_add(crowd->store, news, BATCH, &err) < 0)
            atomic_fetch_add(&crowd->failures, 1);
    }
    return NULL;
}

static int compare_tokens(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void *claim_many(void *context)
{
    struct crowd *crowd = context;
    struct error err;
    struct store_worker worker = worker_named("crowd");
    uint64_t until = now_ms() + 60000;
    while (atomic_load(&crowd->finished) < SUBMISSIONS && now_ms() < until) {
        struct store_claim claims[4];
        size_t len = 0;
        if (store_claim(crowd->store, &worker, 4, 100, claims, &len, &err) < 0)
            atomic_fetch_add(&crowd->failures, 1);
        for (size_t i = 0; i < len; i++) {
            bool kept = false;
            const char(*at)[TOKEN_BYTES] =
                bsearch(claims[i].token, crowd->tokens, SUBMISSIONS, TOKEN_BYTES, compare_tokens);
            if (at == NULL || !text_equal(buf_text(&claims[i].payload), text_of(claims[i].token)))
                atomic_fetch_add(&crowd->failures, 1);
            else
                atomic_fetch_add(&crowd->claimed[at - crowd->tokens], 1);
            if (store_finish(crowd->store, "one", claims[i].token, claims[i].attempt, SUBMISSION_COMPLETED,
                             text_of(claims[i].token), &kept, &err) < 0 ||
                !kept)
                atomic_fetch_add(&crowd->failures, 1);
            store_claim_done(&claims[i]);
            atomic_fetch_add(&crowd->finished, 1);
        }
    }
    return NULL;
}

static void eight_threads_run_each_submission_exactly_once(void **state)
{
    (void)state;
    struct crowd *crowd = calloc(1, sizeof *crowd);
    assert_non_null(crowd);
    crowd->store = fixture_open();
    for (size_t i = 0; i < SUBMISSIONS; i++)
        fixture_name(crowd->store, crowd->tokens[i]);
    qsort(crowd->tokens, SUBMISSIONS, TOKEN_BYTES, compare_tokens);
    pthread_t threads[ADDERS + CLAIMERS];
    for (size_t i = 0; i < ADDERS + CLAIMERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < ADDERS ? add_many : claim_many, crowd), 0);
    for (size_t i = 0; i < ADDERS + CLAIMERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(crowd->failures, 0);
    for (size_t i = 0; i < SUBMISSIONS; i++) {
        assert_int_equal(crowd->claimed[i], 1);
        expect_state(crowd->store, crowd->tokens[i], SUBMISSION_COMPLETED, crowd->tokens[i]);
    }
    struct queue_depth *depth = depth_of(crowd->store);
    assert_int_equal(depth->waiting + depth->running, 0);
    free(depth);
    store_close(crowd->store);
    free(crowd);
}

const struct CMUnitTest tests_queue[] = {
    A_TEST(the_oldest_of_the_asked_queues_comes_first),
    A_TEST(high_comes_first_and_low_does_not_starve),
    A_TEST(workers_of_other_queues_do_not_take_the_turns_of_these),
    A_TEST(a_full_queue_refuses_and_keeps_nothing),
    A_TEST(the_same_token_is_added_once),
    A_TEST(depths_are_counted_by_queue),
    A_TEST(depth_costs_the_same_however_many_wait),
    A_TEST(workers_are_counted_while_they_live),
    A_TEST(eight_threads_run_each_submission_exactly_once),
};
const size_t tests_queue_len = sizeof tests_queue / sizeof *tests_queue;
