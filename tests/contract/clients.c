/* clients: turns, limits and idempotency keys; promises 11 and 12. */
#include "store_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static struct store_new entry_of(struct store *store, const char *client, const char *queue,
                                 enum submission_priority priority)
{
    struct store_new entry = { .priority = priority, .payload = TEXT("work") };
    fixture_name(store, entry.token);
    (void)snprintf(entry.queue, sizeof entry.queue, "%s", queue);
    (void)snprintf(entry.client.name, sizeof entry.client.name, "%s", client);
    return entry;
}

static void add_of(struct store *store, const char *client, const char *queue, char ret_token[TOKEN_BYTES])
{
    struct store_new entry = entry_of(store, client, queue, PRIORITY_NORMAL);
    must(store_add(store, &entry, 1, &err));
    if (ret_token != NULL)
        memcpy(ret_token, entry.token, TOKEN_BYTES);
}

static void add_many_of(struct store *store, const char *client, size_t len)
{
    struct store_new *news = calloc(len, sizeof *news);
    assert_non_null(news);
    for (size_t i = 0; i < len; i++)
        news[i] = entry_of(store, client, "c", PRIORITY_NORMAL);
    must(store_add(store, news, len, &err));
    free(news);
}

/* Claims and finishes until this one is claimed; returns the number of claims. */
static size_t claims_until(struct store *store, const char *token, size_t most)
{
    for (size_t i = 1; i <= most; i++) {
        char claimed[TOKEN_BYTES];
        uint32_t attempt;
        assert_true(claim_one(store, claimed, &attempt));
        assert_true(finish_one(store, claimed, attempt, "[]"));
        if (strcmp(claimed, token) == 0)
            return i;
    }
    fail_msg("not within %zu claims", most);
    return 0;
}

static void one_with_many_waiting_does_not_hold_up_another(void **state)
{
    (void)state;
    store_fixture.is_pinned = true; /* turns hold within a shard */
    struct store *store = fixture_open();
    char token[TOKEN_BYTES];
    add_many_of(store, "many", 5000);
    for (int round = 0; round < 3; round++) {
        add_of(store, "few", "c", token);
        assert_true(claims_until(store, token, 5000) <= 3);
        for (int i = 0; i < 20; i++) { /* however far the other's turns have gone */
            uint32_t attempt;
            assert_true(claim_one(store, token, &attempt));
            assert_true(finish_one(store, token, attempt, "[]"));
        }
    }
    /* A third and a fourth, with several each: all take turns. */
    for (int i = 0; i < 5; i++) {
        add_of(store, "third", "c", NULL);
        add_of(store, "fourth", "c", token);
    }
    assert_true(claims_until(store, token, 5000) <= 3 * 5 + 2);
    struct queue_depth *depth = depth_of(store);
    assert_true(depth->waiting > 4900);
    assert_true(depth->queues_len == 1 && depth->queues[0].waiting_by[PRIORITY_NORMAL] == depth->waiting);
    assert_true(depth->oldest_wait_ms > 0);
    free(depth);
    store_close(store);
}

static void turns_go_on_after_a_restart_and_when_leases_are_lost(void **state)
{
    (void)state;
    store_fixture.is_pinned = true;
    store_fixture.config.lease_ms = 100;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES], claimed[TOKEN_BYTES];
    uint32_t attempt;
    add_many_of(store, "many", 100);
    store_close(store);
    store = fixture_open();
    add_of(store, "few", "c", token);
    assert_true(claims_until(store, token, 100) <= 3);
    add_of(store, "few", "c", token);
    do
        assert_true(claim_one(store, claimed, &attempt));
    while (strcmp(claimed, token) != 0);
    nap_ms(150);
    must(store_reap_expired(store, &err)); /* back to its old position */
    assert_true(claims_until(store, token, 100) <= 5);
    store_close(store);
}

static void of_one_client_the_oldest_comes_first(void **state)
{
    (void)state;
    store_fixture.is_pinned = true;
    struct store *store = fixture_open();
    char tokens[6][TOKEN_BYTES], claimed[TOKEN_BYTES];
    for (size_t i = 0; i < 6; i++)
        add_of(store, "one", i % 3 == 0 ? "python" : "c", tokens[i]);
    for (size_t i = 0; i < 6; i++) {
        assert_true(claim_one(store, claimed, NULL));
        assert_string_equal(claimed, tokens[i]);
    }
    store_close(store);
}

/* ---- limits ---- */

static enum store_outcome try_add(struct store *store, struct store_new *entry, char ret_token[TOKEN_BYTES])
{
    struct store_added added = { 0 };
    must(store_add_each(store, entry, 1, &added, &err));
    if (ret_token != NULL)
        memcpy(ret_token, added.token, TOKEN_BYTES);
    return added.outcome;
}

static void expect_filtered(struct store *store, const struct store_filter *filter, const char *token)
{
    struct store_worker worker = worker_named("filtered");
    struct store_claim claims[4];
    size_t len = 4;
    worker.filter = filter;
    must(store_claim(store, &worker, 1, 0, claims, &len, &err));
    assert_int_equal(len, token != NULL);
    if (token == NULL)
        return;
    assert_string_equal(claims[0].token, token);
    store_claim_done(&claims[0]);
}

static void a_filter_leaves_out_clients_and_priorities(void **state)
{
    (void)state;
    store_fixture.is_pinned = true;
    struct store *store = fixture_open();
    struct store_filter filter = { .flows_len = 1, .flows = { { "many", PRIORITY_NORMAL } } };
    char few[TOKEN_BYTES], anonymous[TOKEN_BYTES], first[TOKEN_BYTES];
    struct store_new high = entry_of(store, "many", "python", PRIORITY_HIGH);
    expect_filtered(store, &filter, NULL);
    add_of(store, "many", "c", first);
    add_many_of(store, "many", 50);
    expect_filtered(store, &filter, NULL);
    add_of(store, "few", "c", few);
    add_of(store, "", "python", anonymous);
    must(store_add(store, &high, 1, &err));
    /* A priority left out, then another client in the same queue, then the other queue. */
    filter.without[PRIORITY_HIGH] = true;
    expect_filtered(store, &filter, few);
    expect_filtered(store, &filter, anonymous);
    expect_filtered(store, &filter, NULL);
    filter.without[PRIORITY_HIGH] = false;
    expect_filtered(store, &filter, high.token);
    expect_filtered(store, &filter, NULL);
    for (filter.flows_len = 0; filter.flows_len < STORE_FLOWS_MAX; filter.flows_len++)
        filter.flows[filter.flows_len].priority = PRIORITY_LOW; /* the longest filter, of anonymous clients */
    expect_filtered(store, &filter, first);
    store_close(store);
}

static void a_client_has_no_more_waiting_than_it_may(void **state)
{
    (void)state;
    store_fixture.is_pinned = true;
    uint32_t most = store_fixture.is_shards ? 6 : 3; /* each shard gets a part of the limit */
    struct store *store = fixture_open();
    struct store_new news[5];
    struct store_added added[5];
    for (size_t i = 0; i < 5; i++) {
        news[i] = entry_of(store, "one", "c", PRIORITY_NORMAL);
        news[i].client.queued_max = most;
    }
    (void)snprintf(news[2].client.name, sizeof news[2].client.name, "other");
    must(store_add_each(store, news, 5, added, &err));
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(added[i].outcome, i == 4 ? STORE_CLIENT_FULL : STORE_ADDED);
    assert_int_equal(try_add(store, &news[4], NULL), STORE_CLIENT_FULL);
    assert_int_equal(try_add(store, &news[0], NULL), STORE_ADDED); /* a repetition of the same add */
    struct store_view view = view_of(store, news[4].token);
    assert_false(view.found);
    store_view_done(&view);
    assert_true(claim_one(store, NULL, NULL)); /* running submissions do not count */
    assert_true(claim_one(store, NULL, NULL));
    assert_int_equal(try_add(store, &news[4], NULL), STORE_ADDED);
    bool cancelled;
    struct store_new another = news[4];
    fixture_name(store, another.token);
    must(store_cancel(store, news[4].token, &cancelled, &err)); /* nor do cancelled ones */
    assert_int_equal(try_add(store, &another, NULL), STORE_ADDED);
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, 3);
    free(depth);
    store_close(store);
}

static void a_client_runs_no_more_than_it_may(void **state)
{
    (void)state;
    store_fixture.is_pinned = true;
    uint32_t most = store_fixture.is_shards ? 4 : 2;
    struct store *store = fixture_open();
    struct store_new entry;
    char tokens[6][TOKEN_BYTES], running[2][TOKEN_BYTES], other[TOKEN_BYTES], claimed[TOKEN_BYTES];
    for (size_t i = 0; i < 6; i++) {
        entry = entry_of(store, "one", "c", i == 5 ? PRIORITY_HIGH : PRIORITY_NORMAL);
        entry.client.running_max = most;
        memcpy(tokens[i], entry.token, TOKEN_BYTES);
        must(store_add(store, &entry, 1, &err));
    }
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, 6); /* parked ones included */
    assert_int_equal(depth->queues[0].waiting_by[PRIORITY_HIGH], 1);
    free(depth);
    assert_true(claim_one(store, running[0], NULL));
    assert_true(claim_one(store, running[1], NULL));
    assert_false(claim_one(store, NULL, NULL)); /* two run */
    add_of(store, "two", "c", other);
    assert_true(claim_one(store, claimed, NULL));
    assert_string_equal(claimed, other); /* and delay no other client */
    must(store_release(store, running[0], 1, &err));
    assert_true(claim_one(store, claimed, NULL));
    assert_string_equal(claimed, running[0]); /* after its release it is still one of the two */
    assert_false(claim_one(store, NULL, NULL));
    bool cancelled = false;
    must(store_cancel(store, tokens[2], &cancelled, &err)); /* a parked one */
    assert_true(cancelled);
    assert_false(claim_one(store, NULL, NULL));
    assert_true(finish_one(store, running[0], 2, "[]"));
    assert_true(claim_one(store, claimed, NULL));
    assert_string_equal(claimed, tokens[5]); /* the high one goes first */
    assert_false(claim_one(store, NULL, NULL));
    must(store_cancel(store, running[1], &cancelled, &err));
    assert_true(claim_one(store, claimed, NULL));
    assert_string_equal(claimed, tokens[3]);
    store_close(store);
    if (!store_fixture.is_redis) { /* the rows know what runs; the leases of the dead process are taken back */
        store = fixture_open();
        assert_true(claim_one(store, NULL, NULL));
        assert_true(claim_one(store, NULL, NULL));
        assert_true(claim_one(store, NULL, NULL)); /* the other client's */
        assert_false(claim_one(store, NULL, NULL));
        store_close(store);
    }
}

static void a_limit_leaves_nothing_behind(void **state)
{
    (void)state;
    store_fixture.config.result_ttl_s = 1;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES];
    uint32_t attempt;
    for (size_t i = 0; i < 20; i++) {
        struct store_new entry = entry_of(store, i % 2 == 0 ? "one" : "two", "c", (enum submission_priority)(i % 3));
        entry.client.running_max = 2;
        must(store_add(store, &entry, 1, &err));
    }
    for (size_t i = 0; i < 20; i++) {
        assert_true(claim_one(store, token, &attempt));
        assert_true(finish_one(store, token, attempt, "[]"));
    }
    assert_false(claim_one(store, NULL, NULL));
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting + depth->running + depth->oldest_wait_ms, 0);
    free(depth);
    static const char *const kinds[] = { "client:*", "parked:*", "tags:*", "ages", "queue:*" };
    for (size_t i = 0; store_fixture.is_redis && i < sizeof kinds / sizeof *kinds; i++) {
        redisReply *keys = fixture_redis("KEYS {%s}:%s", store_fixture.config.redis_prefix, kinds[i]);
        assert_int_equal(keys->elements, 0);
        freeReplyObject(keys);
    }
    store_close(store);
}

/* ---- keys ---- */

/* A string in the form of the hash of a key or body. */
static void fill_hash(char ret[HASH_HEX_BYTES], char digit)
{
    memset(ret, digit, HASH_HEX_BYTES - 1);
    ret[HASH_HEX_BYTES - 1] = '\0';
}

static struct store_new keyed(struct store *store, char key, char body)
{
    struct store_new entry = entry_of(store, "", "c", PRIORITY_NORMAL);
    fill_hash(entry.key, key);
    fill_hash(entry.body, body);
    store_new_token(store, entry.key, entry.token);
    return entry;
}

static void the_same_key_and_body_are_the_same_submission(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct store_new first = keyed(store, 'a', '1'), again = keyed(store, 'a', '1'), other = keyed(store, 'a', '2');
    struct store_new second = keyed(store, 'b', '1');
    char token[TOKEN_BYTES];
    assert_int_equal(try_add(store, &first, token), STORE_ADDED);
    assert_string_equal(token, first.token);
    assert_int_equal(try_add(store, &again, token), STORE_REPEATED);
    assert_string_equal(token, first.token);
    assert_int_equal(try_add(store, &other, NULL), STORE_CONFLICT);
    assert_int_equal(try_add(store, &first, token), STORE_ADDED); /* the call repeated, as when its answer was lost */
    assert_int_equal(try_add(store, &second, token), STORE_ADDED);
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, 2);
    free(depth);
    for (int i = 0; i < 2; i++) {
        uint32_t attempt;
        assert_true(claim_one(store, token, &attempt));
        assert_true(finish_one(store, token, attempt, "[]"));
    }
    store_close(store);
    store = fixture_open();
    assert_int_equal(try_add(store, &again, token), STORE_REPEATED); /* also when it has ended, also after a restart */
    assert_string_equal(token, first.token);
    assert_false(claim_one(store, NULL, NULL));
    store_close(store);
}

static void keys_in_one_group_are_told_apart(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct store_new news[] = { keyed(store, 'a', '1'), keyed(store, 'a', '1'), keyed(store, 'a', '2'),
                                entry_of(store, "", "c", PRIORITY_NORMAL), keyed(store, 'c', '2') };
    static const enum store_outcome outcomes[] = { STORE_ADDED, STORE_REPEATED, STORE_CONFLICT, STORE_ADDED,
                                                   STORE_ADDED };
    struct store_added added[5];
    must(store_add_each(store, news, 5, added, &err));
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(added[i].outcome, outcomes[i]);
    assert_string_equal(added[1].token, news[0].token);
    assert_string_equal(added[3].token, news[3].token);
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, 3);
    free(depth);
    store_close(store);
}

static void what_was_refused_leaves_no_key(void **state)
{
    (void)state;
    store_fixture.config.queue_max = 2;
    struct store *store = fixture_open();
    struct store_new entry = keyed(store, 'a', '1'), retried = keyed(store, 'a', '2'), fill;
    struct error err = { 0 };
    struct store_added added;
    do /* each shard has its own bound */
        fill = keyed(store, 'a', '0'), fill.key[0] = '\0';
    while (store_add(store, &fill, 1, &err) == 0);
    assert_int_equal(err.kind, ERROR_BUSY);
    assert_int_equal(store_add_each(store, &entry, 1, &added, &err), -1);
    assert_int_equal(err.kind, ERROR_BUSY);
    while (claim_one(store, NULL, NULL))
        continue;
    assert_int_equal(try_add(store, &retried, NULL), STORE_ADDED); /* another body: it was never used */
    store_close(store);
}

static void keys_are_forgotten_after_their_time(void **state)
{
    (void)state;
    store_fixture.config.idempotency_s = 1;
    struct store *store = fixture_open();
    struct store_new first = keyed(store, 'a', '1'), other = keyed(store, 'a', '2');
    assert_int_equal(try_add(store, &first, NULL), STORE_ADDED);
    assert_int_equal(try_add(store, &other, NULL), STORE_CONFLICT);
    nap_ms(1100);
    assert_int_equal(try_add(store, &other, NULL), STORE_ADDED);
    nap_ms(1100);
    must(store_reap_expired(store, &err));
    if (store_fixture.is_redis) {
        redisReply *keys = fixture_redis("KEYS {%s}:key:*", store_fixture.config.redis_prefix);
        assert_int_equal(keys->elements, 0);
        freeReplyObject(keys);
    }
    store_close(store);
}

struct repeat {
    struct store *store;
    struct store_new entry;
    struct store_added added;
    int result;
};

static void *add_repeat(void *context)
{
    struct repeat *repeat = context;
    struct error err;
    repeat->result = store_add_each(repeat->store, &repeat->entry, 1, &repeat->added, &err);
    return NULL;
}

/* Two stores on one Redis are two API servers. */
static void the_same_key_at_the_same_time_is_added_once(void **state)
{
    (void)state;
    enum { MANY = 12 };
    struct store *stores[2] = { fixture_open(), NULL };
    stores[1] = store_fixture.is_redis ? fixture_open() : stores[0];
    for (int round = 0; round < 10; round++) {
        struct repeat repeats[MANY];
        pthread_t threads[MANY];
        size_t added = 0;
        for (size_t i = 0; i < MANY; i++) {
            repeats[i] = (struct repeat){ .store = stores[i % 2] };
            repeats[i].entry = keyed(stores[i % 2], (char)('a' + round % 6), round < 6 ? '1' : '2');
            fill_hash(repeats[i].entry.key, (char)('0' + round));
            store_new_token(stores[i % 2], repeats[i].entry.key, repeats[i].entry.token);
            assert_int_equal(pthread_create(&threads[i], NULL, add_repeat, &repeats[i]), 0);
        }
        for (size_t i = 0; i < MANY; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(repeats[i].result, 0);
            assert_string_equal(repeats[i].added.token, repeats[0].added.token);
            added += repeats[i].added.outcome == STORE_ADDED;
        }
        assert_int_equal(added, 1);
    }
    if (stores[1] != stores[0])
        store_close(stores[1]);
    struct queue_depth *depth = depth_of(stores[0]);
    assert_int_equal(depth->waiting, 10);
    free(depth);
    store_close(stores[0]);
}

const struct CMUnitTest tests_clients[] = {
    A_TEST(one_with_many_waiting_does_not_hold_up_another),
    A_TEST(turns_go_on_after_a_restart_and_when_leases_are_lost),
    A_TEST(of_one_client_the_oldest_comes_first),
    A_TEST(a_filter_leaves_out_clients_and_priorities),
    A_TEST(a_client_has_no_more_waiting_than_it_may),
    A_TEST(a_client_runs_no_more_than_it_may),
    A_TEST(a_limit_leaves_nothing_behind),
    A_TEST(the_same_key_and_body_are_the_same_submission),
    A_TEST(keys_in_one_group_are_told_apart),
    A_TEST(what_was_refused_leaves_no_key),
    A_TEST(keys_are_forgotten_after_their_time),
    A_TEST(the_same_key_at_the_same_time_is_added_once),
};
const size_t tests_clients_len = sizeof tests_clients / sizeof *tests_clients;
