/* served: submissions that no worker would run. */
#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

static enum store_outcome add_to(struct store *store, const char *queue, const char *client)
{
    struct store_new entry = { .priority = PRIORITY_NORMAL, .payload = TEXT("work") };
    struct store_added added = { .outcome = STORE_FAILED };
    (void)snprintf(entry.queue, sizeof entry.queue, "%s", queue);
    (void)snprintf(entry.client.name, sizeof entry.client.name, "%s", client);
    fixture_name(store, entry.token);
    must(store_add_each(store, &entry, 1, &added, &err));
    return added.outcome;
}

static void beat(struct store *store, const char *const queues[])
{
    struct store_worker worker = worker_named("one");
    worker.queues = queues;
    must(store_heartbeat(store, &worker, NULL, 0, &err));
}

static const char *const only_c[] = { "c", "c@2", NULL };

static void what_no_worker_serves_is_refused(void **state)
{
    (void)state;
    store_fixture.config.unserved_s = 1;
    struct store *store = fixture_open();
    assert_int_equal(add_to(store, "python", ""), STORE_ADDED); /* just opened */
    nap_ms(1200);
    assert_int_equal(add_to(store, "python", ""), STORE_UNSERVED);
    assert_int_equal(add_to(store, "c", "anna"), STORE_UNSERVED);
    beat(store, only_c);
    assert_int_equal(add_to(store, "c", ""), STORE_ADDED);
    assert_int_equal(add_to(store, "c", "anna"), STORE_ADDED);
    assert_int_equal(add_to(store, "c@2", ""), STORE_ADDED);
    assert_int_equal(add_to(store, "python", ""), STORE_UNSERVED);
    assert_int_equal(add_to(store, "c@3", ""), STORE_UNSERVED); /* a version that no worker reads yet */
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, 4); /* refused ones are not stored */
    free(depth);
    nap_ms(1200);
    assert_int_equal(add_to(store, "c", ""), STORE_UNSERVED); /* its worker is silent */
    store_close(store);
}

static void refusing_can_be_switched_off(void **state)
{
    (void)state;
    store_fixture.config.unserved_s = 0;
    struct store *store = fixture_open();
    nap_ms(50);
    beat(store, only_c);
    assert_int_equal(add_to(store, "python", ""), STORE_ADDED);
    store_close(store);
}

static uint64_t commands_of_refusal(struct store *store)
{
    uint64_t before = fixture_redis_calls(NULL);
    assert_int_equal(add_to(store, "python", ""), STORE_UNSERVED);
    return fixture_redis_calls(NULL) - before;
}

/* A refusal costs the same whatever workers there are, and one of version 0.2 may serve anything. */
static void workers_of_an_older_version_may_serve_it(void **state)
{
    (void)state;
    if (!store_fixture.is_redis || store_fixture.is_shards)
        return;
    store_fixture.config.unserved_s = 1;
    const char *prefix = store_fixture.config.redis_prefix;
    struct store *store = fixture_open();
    nap_ms(1200);
    beat(store, only_c);
    (void)commands_of_refusal(store); /* the server learns the script */
    uint64_t few = commands_of_refusal(store);
    for (int i = 0; i < 100; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "simulated-%d", i);
        struct store_worker worker = worker_named(name);
        worker.queues = only_c;
        must(store_heartbeat(store, &worker, NULL, 0, &err));
    }
    assert_int_equal(commands_of_refusal(store), few);
    enum store_outcome outcome = STORE_UNSERVED;
    for (uint64_t until = now_ms() + 10000; outcome == STORE_UNSERVED && now_ms() < until; nap_ms(20)) {
        freeReplyObject(fixture_redis("HSET {%s}:slots old %s", prefix, "8 2 0"));
        freeReplyObject(fixture_redis("ZADD {%s}:workers %llu old", prefix, (unsigned long long)clock_wall_ms()));
        must(store_reap_expired(store, &err));
        outcome = add_to(store, "python", "");
    }
    assert_int_equal(outcome, STORE_ADDED);
    must(store_forget_worker(store, "old", &err));
    for (uint64_t until = now_ms() + 10000; outcome == STORE_ADDED && now_ms() < until; nap_ms(20)) {
        must(store_reap_expired(store, &err));
        outcome = add_to(store, "python", "");
    }
    assert_int_equal(outcome, STORE_UNSERVED);
    store_close(store);
}

const struct CMUnitTest tests_served[] = {
    A_TEST(what_no_worker_serves_is_refused),
    A_TEST(refusing_can_be_switched_off),
    A_TEST(workers_of_an_older_version_may_serve_it),
};
const size_t tests_served_len = sizeof tests_served / sizeof *tests_served;
