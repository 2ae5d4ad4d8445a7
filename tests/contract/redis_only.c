/* redis_only: failures between evalx and a Redis server. */
#include "store_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sync.h"
#include "cutter.h"
#include "queue/redis/redis_store.h"

static void redis_do(const char *command)
{
    freeReplyObject(fixture_redis(command));
}

static void a_lost_answer_changes_nothing(void **state)
{
    (void)state;
    static struct cutter cutter; /* its thread outlives this function */
    cutter_start(&cutter, store_fixture.port);
    struct store *direct = fixture_open();
    char warm[TOKEN_BYTES];
    bool done = false;
    add_one(direct, "bash", PRIORITY_NORMAL, warm); /* the server learns each script before answers get lost */
    assert_true(claim_one(direct, NULL, NULL));
    must(store_cancel(direct, warm, &done, &err));
    assert_false(finish_one(direct, warm, 1, "[]"));
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "redis://127.0.0.1:%d", cutter.port);
    struct store *store = fixture_open();

    for (int round = 0; round < 10; round++) {
        char token[TOKEN_BYTES], claimed[TOKEN_BYTES];
        uint32_t attempt = 0;
        cutter.cuts_made = 0;
        cutter.kept = round < 3 ? 0 : 3 * round - 8; /* before the answer, then ever later in it */
        cutter.cuts = 1;
        add_one(store, "c", PRIORITY_NORMAL, token);
        struct queue_depth *depth = depth_of(direct);
        assert_int_equal(depth->waiting, 1); /* once, not twice */
        free(depth);

        cutter.cuts = 1;
        assert_true(claim_one(store, claimed, &attempt));
        assert_string_equal(claimed, token);
        assert_int_equal(attempt, 1); /* the claim whose answer was lost, not another one */

        cutter.cuts = 1;
        if (round % 2 == 0) {
            assert_true(finish_one(store, token, 1, "[]"));
            assert_true(finish_one(store, token, 1, "[]")); /* another call of the same worker: the same answer */
        } else {
            must(store_cancel(store, token, &done, &err));
            assert_true(done);
            must(store_cancel(store, token, &done, &err));
            assert_false(done);
        }
        assert_int_equal(cutter.cuts_made, 3);
        depth = depth_of(direct);
        assert_int_equal(depth->waiting + depth->running, 0);
        free(depth);
    }
    store_close(store);
    store_close(direct);
}

static void a_server_that_forgot_the_scripts_gets_them_again(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES];
    for (int round = 0; round < 2; round++) {
        add_one(store, "c", PRIORITY_NORMAL, token);
        redis_do("SCRIPT FLUSH");
        assert_true(claim_one(store, NULL, NULL));
        assert_true(finish_one(store, token, 1, "[]"));
    }
    store_close(store);
}

/* Every call must fail with ERROR_STORE, and within 5 s. */
static void expect_all_fail(struct store *store, const char *token)
{
    struct store_worker worker = worker_named("one");
    struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
    struct store_claim claim;
    struct store_view view;
    struct queue_depth *depth = malloc(sizeof *depth);
    size_t len;
    bool done;
    token_new(entry.token);
    for (int call = 0; call < 8; call++) {
        struct error err = { 0 };
        uint64_t from = now_ms();
        int result = call == 0   ? store_add(store, &entry, 1, &err)
                     : call == 1 ? store_claim(store, &worker, 1, 30000, &claim, &len, &err)
                     : call == 2 ? store_heartbeat(store, &worker, NULL, 0, &err)
                     : call == 3 ? store_finish(store, "one", token, 1, SUBMISSION_COMPLETED, TEXT("[]"), &done, &err)
                     : call == 4 ? store_cancel(store, token, &done, &err)
                     : call == 5 ? store_get(store, &token, 1, &view, &err)
                     : call == 6 ? store_depth(store, depth, &err)
                                 : store_reap_expired(store, &err);
        assert_int_equal(result, -1);
        assert_int_equal(err.kind, ERROR_STORE);
        assert_true(err.text[0] != '\0');
        assert_true(now_ms() - from < 5000);
    }
    free(depth);
}

/* Until calls work again: they fail at once for a moment, while the back-off lasts. */
static void wait_until_back(struct store *store)
{
    struct error err = { 0 };
    uint64_t until = now_ms() + 10000;
    while (store_reap_expired(store, &err) < 0) {
        if (now_ms() > until)
            fail_msg("not back after 10 s: %s", err.text);
        nap_ms(20);
    }
}

struct waiting_claim {
    struct store *store;
    int result;
    size_t len;
    uint64_t took_ms;
    struct error err;
};

static void *claim_and_wait(void *context)
{
    struct waiting_claim *waiting = context;
    struct store_worker worker = worker_named("waiting");
    struct store_claim claim;
    uint64_t from = now_ms();
    waiting->result = store_claim(waiting->store, &worker, 1, 30000, &claim, &waiting->len, &waiting->err);
    waiting->took_ms = now_ms() - from;
    if (waiting->result == 0 && waiting->len == 1)
        store_claim_done(&claim);
    return NULL;
}

static void a_server_that_hangs_is_an_error_soon(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct waiting_claim waiting = { .store = store };
    pthread_t thread;
    char token[TOKEN_BYTES];
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_true(claim_one(store, NULL, NULL));
    assert_int_equal(pthread_create(&thread, NULL, claim_and_wait, &waiting), 0);
    nap_ms(100);
    assert_int_equal(kill(store_fixture.redis, SIGSTOP), 0);
    uint64_t from = now_ms();
    expect_all_fail(store, token);
    print_message("  eight calls failed within %llu ms together\n", (unsigned long long)(now_ms() - from));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiting.result, -1);
    assert_int_equal(waiting.err.kind, ERROR_STORE);
    assert_true(waiting.took_ms < 6000);
    assert_int_equal(kill(store_fixture.redis, SIGCONT), 0);
    wait_until_back(store);
    assert_true(finish_one(store, token, 1, "[]"));
    store_close(store);
}

static void a_server_that_was_killed_comes_back_with_everything(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char tokens[100][TOKEN_BYTES], claimed[TOKEN_BYTES];
    for (size_t i = 0; i < 100; i++)
        add_one(store, "c", PRIORITY_NORMAL, tokens[i]);
    assert_true(claim_one(store, claimed, NULL));
    fixture_redis_kill();
    uint64_t from = now_ms();
    expect_all_fail(store, tokens[0]);
    assert_true(now_ms() - from < 5000); /* connection refused: no call waits for a time-out */
    fixture_redis_start();
    wait_until_back(store);
    for (size_t i = 0; i < 100; i++)
        expect_state(store, tokens[i], i == 0 ? SUBMISSION_PROCESSING : SUBMISSION_QUEUED, "");
    assert_true(finish_one(store, claimed, 1, "[]"));
    size_t left = 0;
    while (claim_one(store, NULL, NULL))
        left++;
    assert_int_equal(left, 99);
    store_close(store);
}

static void a_claimer_that_waits_outlives_a_restart(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct waiting_claim waiting = { .store = store };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, claim_and_wait, &waiting), 0);
    nap_ms(200);
    fixture_redis_kill();
    assert_int_equal(pthread_join(thread, NULL), 0); /* connection refused: fails at once, not after 30 s */
    assert_int_equal(waiting.result, -1);
    assert_int_equal(waiting.err.kind, ERROR_STORE);
    fixture_redis_start();
    wait_until_back(store);
    assert_int_equal(pthread_create(&thread, NULL, claim_and_wait, &waiting), 0);
    nap_ms(200);
    add_one(store, "c", PRIORITY_NORMAL, NULL);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiting.result, 0);
    assert_int_equal(waiting.len, 1);
    store_close(store);
}

static void count_event(void *context, const char token[TOKEN_BYTES], enum submission_state state, bool cancelled)
{
    (void)token;
    (void)state;
    (void)cancelled;
    atomic_fetch_add((_Atomic int *)context, 1);
}

static void a_watcher_is_notified_again_after_a_restart(void **state)
{
    (void)state;
    static _Atomic int events;
    struct store *store = fixture_open();
    must(store_watch(store, count_event, &events, &err));
    fixture_redis_kill();
    fixture_redis_start();
    wait_until_back(store);
    uint64_t until = now_ms() + 15000;
    while (atomic_load(&events) == 0 && now_ms() < until) {
        add_one(store, "c", PRIORITY_NORMAL, NULL);
        assert_true(claim_one(store, NULL, NULL));
        nap_ms(50);
    }
    assert_true(atomic_load(&events) > 0);
    store_close(store);
}

static void a_wakeup_lost_with_its_claimer_is_replaced(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct waiting_claim waiting = { .store = store };
    pthread_t thread;
    redisContext *dying = redisConnect("127.0.0.1", store_fixture.port);
    assert_int_equal(redisAppendCommand(dying, "BLPOP {%s}:bell:c 30", store_fixture.config.redis_prefix), REDIS_OK);
    int flushed = 0;
    assert_int_equal(redisBufferWrite(dying, &flushed), REDIS_OK);
    nap_ms(100); /* first in line */
    assert_int_equal(pthread_create(&thread, NULL, claim_and_wait, &waiting), 0);
    nap_ms(200);
    add_one(store, "c", PRIORITY_NORMAL, NULL);
    redisReply *reply = NULL;
    assert_int_equal(redisGetReply(dying, (void **)&reply), REDIS_OK);
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    freeReplyObject(reply);
    redisFree(dying);
    uint64_t until = now_ms() + 5000;
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, 1); /* only the dead claimer got the wakeup */
    while (depth->waiting > 0 && now_ms() < until) {
        must(store_reap_expired(store, &err));
        nap_ms(50);
        free(depth);
        depth = depth_of(store);
    }
    assert_int_equal(depth->waiting, 0);
    free(depth);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiting.len, 1);
    store_close(store);
}

static void without_memory_nothing_is_accepted_and_work_still_ends(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char token[TOKEN_BYTES];
    struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
    struct error err = { 0 };
    add_one(store, "c", PRIORITY_NORMAL, token);
    redis_do("CONFIG SET maxmemory 1");
    token_new(entry.token);
    int added = store_add(store, &entry, 1, &err);
    bool claimed = claim_one(store, NULL, NULL);
    bool kept = finish_one(store, token, 1, "[]");
    redis_do("CONFIG SET maxmemory 0");
    assert_int_equal(added, -1);
    assert_non_null(strstr(err.text, "maxmemory"));
    assert_true(claimed && kept);
    struct store_view view = view_of(store, entry.token);
    assert_false(view.found);
    store_view_done(&view);
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting + depth->running, 0);
    free(depth);
    store_close(store);
}

/* Counts all commands from add to finish, with so many waiting submissions and so many workers. */
static uint64_t commands_of_rounds(struct store *store, size_t waiting, size_t workers)
{
    enum { BATCH = 100, ROUNDS = 24 }; /* a multiple of 8: every turn of the priorities equally often */
    for (size_t i = 0; i < waiting; i += BATCH) {
        struct store_new news[BATCH];
        for (size_t j = 0; j < BATCH; j++) {
            news[j] = (struct store_new){ .priority = PRIORITY_NORMAL, .payload = TEXT("work") };
            (void)snprintf(news[j].queue, sizeof news[j].queue, "%s", queues_all[j % 3]);
            store_new_token(store, "", news[j].token);
        }
        must(store_add(store, news, BATCH, &err));
    }
    for (size_t i = 0; i < workers; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "simulated-%zu", i);
        struct store_worker worker = worker_named(name);
        must(store_heartbeat(store, &worker, NULL, 0, &err));
    }
    uint64_t before = fixture_redis_calls(NULL), sent = fixture_redis_calls("evalsha");
    for (int i = 0; i < ROUNDS; i++) {
        char token[TOKEN_BYTES];
        uint32_t attempt = 0;
        add_one(store, queues_all[i % 3], PRIORITY_NORMAL, NULL);
        assert_true(claim_one(store, token, &attempt));
        assert_true(finish_one(store, token, attempt, "[]"));
    }
    assert_int_equal(fixture_redis_calls("evalsha") - sent, 3 * ROUNDS); /* add, claim, finish: one script each */
    return fixture_redis_calls(NULL) - before;
}

#define COMMANDS_EACH_MAX 48 /* to add, claim and finish one without a client, with the three scripts */

static void a_submission_costs_the_same_commands_whatever_waits_or_works(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    (void)commands_of_rounds(store, 100, 1); /* the server learns the scripts */
    uint64_t few = commands_of_rounds(store, 0, 0), many = commands_of_rounds(store, 5000, 300);
    print_message("  %llu commands for 24 submissions, most of them inside their scripts\n", (unsigned long long)few);
    assert_int_equal(few, many);
    assert_in_range(few, 1, UINT64_C(24) * COMMANDS_EACH_MAX);
    store_close(store);
}

static void open_fails(const char *expected)
{
    struct store *store = NULL;
    struct error err = { 0 };
    assert_int_equal(store_open(&store_fixture.config, &store, &err), -1);
    if (strstr(err.text, expected) == NULL)
        fail_msg("expected \"%s\" in: %s", expected, err.text);
    assert_null(strstr(err.text, "s3cret"));
}

static void a_wrong_password_or_address_is_reported(void **state)
{
    (void)state;
    struct store *store = NULL;
    freeReplyObject(fixture_redis("ACL SETUSER runner on %s ~* &* +@all -info", ">s3cret/%"));
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store,
                   "redis://runner:s3cret@127.0.0.1:%d/2", store_fixture.port);
    open_fails("user or password is wrong");
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store,
                   "redis://runner:s3cret%%2f%%25@127.0.0.1:%d/2", store_fixture.port);
    store = fixture_open(); /* also without permission for INFO */
    add_one(store, "c", PRIORITY_NORMAL, NULL);
    store_close(store);
    (void)snprintf(store_fixture.config.redis_password, sizeof store_fixture.config.redis_password, "%s", "s3cret/%");
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "redis://runner@127.0.0.1:%d/2",
                   store_fixture.port);
    store = fixture_open();
    assert_true(claim_one(store, NULL, NULL)); /* in the same database */
    store_close(store);
    store_fixture.config.redis_password[0] = '\0';
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "redis://127.0.0.1:%d/9999",
                   store_fixture.port);
    open_fails("database");
    redis_do("ACL DELUSER runner");
}

/* docs/design/STORE.md lists the permissions the user needs; the store uses no others. */
static void the_documented_permissions_suffice(void **state)
{
    (void)state;
    static const char *const commands =
        "+eval +evalsha +blpop +subscribe +ping +exists +hset +hget +hmget +hgetall +hincrby +hlen +hdel +set "
        "+get +del +pexpire +incrby +zadd +zrem +zrange +zrangebyscore +zremrangebyscore +zmscore +zpopmin +zcard "
        "+rpush +llen +ltrim +publish +strlen +time";
    char command[1024];
    const char *prefix = store_fixture.config.redis_prefix;
    (void)snprintf(command, sizeof command,
                   "ACL SETUSER runner on >pw resetkeys ~{%s}:* resetchannels &{%s}:* -@all %s", prefix, prefix,
                   commands);
    redis_do(command);
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "redis://runner:pw@127.0.0.1:%d",
                   store_fixture.port);
    store_fixture.config.lease_ms = 100;
    store_fixture.config.attempts_max = 1;
    static _Atomic int events;
    struct store *store = fixture_open();
    struct store_worker worker = worker_named("one");
    struct waiting_claim waiting = { .store = store };
    pthread_t thread;
    char token[TOKEN_BYTES];
    bool done = false;
    must(store_watch(store, count_event, &events, &err));
    assert_int_equal(pthread_create(&thread, NULL, claim_and_wait, &waiting), 0);
    nap_ms(100);
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiting.len, 1);
    must(store_release(store, token, 1, &err));
    assert_true(claim_one(store, NULL, NULL));
    nap_ms(150);
    must(store_reap_expired(store, &err)); /* given up */
    add_one(store, "c", PRIORITY_NORMAL, token);
    must(store_cancel(store, token, &done, &err));
    add_one(store, "c", PRIORITY_NORMAL, token);
    assert_true(claim_one(store, NULL, NULL));
    assert_int_equal(beat_one(store, token, 1), LEASE_KEPT);
    assert_true(finish_one(store, token, 1, "[]"));
    expect_state(store, token, SUBMISSION_COMPLETED, "[]");
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->dead, 1);
    free(depth);
    must(store_forget_worker(store, worker.name, &err));
    uint64_t until = now_ms() + 5000;
    while (atomic_load(&events) == 0 && now_ms() < until)
        nap_ms(10);
    assert_true(atomic_load(&events) > 0);
    store_close(store);
    redis_do("ACL DELUSER runner");
}

/* In a rolling update an older version removes dead workers without knowing of busy slots. */
static void workers_removed_by_an_older_version_are_not_counted(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct store_worker dead = worker_named("dead"), alive = worker_named("alive");
    const char *prefix = store_fixture.config.redis_prefix;
    dead.busy_milli = 3500;
    alive.busy_milli = 1250;
    must(store_heartbeat(store, &dead, NULL, 0, &err));
    must(store_heartbeat(store, &alive, NULL, 0, &err));
    freeReplyObject(fixture_redis("HINCRBY {%s}:depth slots -4", prefix));
    freeReplyObject(fixture_redis("HDEL {%s}:slots dead", prefix));
    freeReplyObject(fixture_redis("ZREM {%s}:workers dead", prefix));
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->workers, 1);
    assert_int_equal(depth->slots, 4);
    assert_int_equal(depth->busy_milli, 1250);
    free(depth);

    /* Wrong sums of an older version are not read, and an older worker reports no busy slots. */
    freeReplyObject(fixture_redis("HSET {%s}:depth slots 99 busy 99000", prefix));
    freeReplyObject(fixture_redis("HSET {%s}:slots old %s", prefix, "8 2"));
    freeReplyObject(fixture_redis("ZADD {%s}:workers %llu old", prefix, (unsigned long long)clock_wall_ms()));
    depth = depth_of(store);
    assert_int_equal(depth->workers, 2);
    assert_int_equal(depth->slots, 12);
    assert_int_equal(depth->busy_milli, 1250);
    free(depth);
    store_close(store);
}

static void a_server_that_cannot_keep_the_promises_is_refused(void **state)
{
    (void)state;
    static const char *const policies[] = { "allkeys-lru", "volatile-lru", "volatile-ttl", "volatile-random" };
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        char command[64];
        (void)snprintf(command, sizeof command, "CONFIG SET maxmemory-policy %s", policies[i]);
        redis_do(command);
        open_fails("set it to noeviction");
    }
    redis_do("CONFIG SET maxmemory-policy noeviction");
    static const struct {
        const char *url, *expected;
    } rows[] = {
        { "redis://127.0.0.1:1", "connect to 127.0.0.1:1" },
        { "redis://name.invalid", "look up name.invalid" },
        { "redis://", "host" },
        { "redis://h:0", "port" },
        { "redis://h:70000", "port" },
        { "redis://h/x", "database" },
        { "redis://[::1", "IPv6" },
        { "redis://u:s3cret%zz@h", "two digits" },
        { "redis://127.0.0.1:1,-", "connect to 127.0.0.1:1" },
        { "redis://a,s3cret", "expected redis[s]://" },
        { "mysql://u:s3cret@h", "expected redis[s]://" },
        { "sqlite:", "sqlite:FILE" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "%s", rows[i].url);
        open_fails(rows[i].expected);
    }
}

static void a_server_that_becomes_unsafe_gets_no_submissions(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct redis_store *redis = redis_of(store);
    struct queue_depth depth;
    struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
    for (int unsafe = 1; unsafe >= 0; unsafe--) {
        struct error why = { 0 };
        redis_do(unsafe ? "CONFIG SET maxmemory-policy volatile-lru" : "CONFIG SET maxmemory-policy noeviction");
        mutex_lock(&redis->unsafe_lock);
        redis->checked_ms = 0; /* the next check is due */
        mutex_unlock(&redis->unsafe_lock);
        must(store_reap_expired(store, &err));
        store_new_token(store, "", entry.token);
        int added = store_add(store, &entry, 1, &why);
        if (unsafe && (added != -1 || why.kind != ERROR_STORE || strstr(why.text, "volatile-lru") == NULL))
            fail_msg("added %d: %s", added, why.text);
        assert_int_equal(added, unsafe ? -1 : 0);
        assert_int_equal(store_depth(store, &depth, &why), added);
    }
    store_close(store);
}

const struct CMUnitTest tests_redis[] = {
    A_TEST(a_server_that_becomes_unsafe_gets_no_submissions),
    A_TEST(a_lost_answer_changes_nothing),
    A_TEST(a_server_that_forgot_the_scripts_gets_them_again),
    A_TEST(a_server_that_hangs_is_an_error_soon),
    A_TEST(a_server_that_was_killed_comes_back_with_everything),
    A_TEST(a_claimer_that_waits_outlives_a_restart),
    A_TEST(a_watcher_is_notified_again_after_a_restart),
    A_TEST(a_wakeup_lost_with_its_claimer_is_replaced),
    A_TEST(without_memory_nothing_is_accepted_and_work_still_ends),
    A_TEST(a_submission_costs_the_same_commands_whatever_waits_or_works),
    A_TEST(a_wrong_password_or_address_is_reported),
    A_TEST(the_documented_permissions_suffice),
    A_TEST(workers_removed_by_an_older_version_are_not_counted),
    A_TEST(a_server_that_cannot_keep_the_promises_is_refused),
};
const size_t tests_redis_len = sizeof tests_redis / sizeof *tests_redis;
