/*
 * redis_heal: a server that moved, is not ready, or rejects the password.  Calls fail with the reason meanwhile.
 * Afterwards the same store works again, with everything that was accepted.  All tests use real servers.
 */
#include "store_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cutter.h"

/* One command to the server at this port; its answer as text ("" for nil), which the next call overwrites. */
static const char *ask(int port, const char *format, ...) __attribute__((format(printf, 2, 3)));
static const char *ask(int port, const char *format, ...)
{
    static char text[4096];
    redisContext *context = redisConnectWithTimeout("127.0.0.1", port, (struct timeval){ .tv_sec = 5 });
    va_list args;
    va_start(args, format);
    redisReply *reply = context != NULL && context->err == 0 ? redisvCommand(context, format, args) : NULL;
    va_end(args);
    assert_non_null(reply);
    (void)snprintf(text, sizeof text, "%.*s", reply->str != NULL ? (int)reply->len : 0, reply->str);
    freeReplyObject(reply);
    redisFree(context);
    return text;
}

static void wait_for(int port, const char *section, const char *expected)
{
    bool is_cluster = strcmp(section, "CLUSTER") == 0;
    uint64_t until = now_ms() + 10000;
    while (strstr(is_cluster ? ask(port, "CLUSTER INFO") : ask(port, "INFO %s", section), expected) == NULL) {
        if (now_ms() > until)
            fail_msg("%s: still no \"%s\" after 10 s", section, expected);
        nap_ms(20);
    }
}

static int try_add(struct store *store, char ret_token[TOKEN_BYTES], struct error *err)
{
    struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
    store_new_token(store, "", entry.token);
    memcpy(ret_token, entry.token, TOKEN_BYTES);
    return store_add(store, &entry, 1, err);
}

/* An add fails soon, with this text. */
static void expect_refused(struct store *store, const char *expected)
{
    struct error err = { 0 };
    char token[TOKEN_BYTES];
    uint64_t from = now_ms();
    assert_int_equal(try_add(store, token, &err), -1);
    assert_true(now_ms() - from < 5000);
    assert_int_equal(err.kind, ERROR_STORE);
    if (strstr(err.text, expected) == NULL)
        fail_msg("expected \"%s\" in: %s", expected, err.text);
    print_message("  %s\n", err.text);
}

/* Calls work again within 10 s. */
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
    waiting->result = store_claim(waiting->store, &worker, 1, 20000, &claim, &waiting->len, &waiting->err);
    waiting->took_ms = now_ms() - from;
    if (waiting->result == 0 && waiting->len == 1)
        store_claim_done(&claim);
    return NULL;
}

/*
 * The primary becomes a replica; the name that the store connects to (here a proxy, elsewhere DNS or a virtual
 * address) leads to the new one a little later.
 */
static void a_failover_keeps_everything(void **state)
{
    (void)state;
    static struct cutter name; /* its thread outlives this function */
    char old_address[48];
    int new_port = fixture_free_port();
    struct waiting_claim waiting = { 0 };
    pthread_t thread;
    (void)snprintf(old_address, sizeof old_address, "127.0.0.1 %d", store_fixture.port);
    pid_t new_pid = fixture_server_start(new_port, (const char *const[]){ "--replicaof", old_address, NULL });
    wait_for(new_port, "replication", "master_link_status:up");
    cutter_start(&name, store_fixture.port);
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "redis://127.0.0.1:%d", name.port);
    struct store *store = fixture_open();
    char tokens[20][TOKEN_BYTES], claimed[TOKEN_BYTES];
    for (size_t i = 0; i < 20; i++)
        add_one(store, "c", PRIORITY_NORMAL, tokens[i]);
    assert_true(claim_one(store, claimed, NULL));
    waiting.store = fixture_open();

    (void)ask(store_fixture.port, "WAIT 1 5000");
    (void)ask(new_port, "REPLICAOF NO ONE");
    (void)ask(store_fixture.port, "REPLICAOF 127.0.0.1 %d", new_port);
    expect_refused(store, "it is a replica; its primary has moved");
    name.server_port = new_port;
    wait_until_back(store);
    assert_true(finish_one(store, claimed, 1, "[]"));
    size_t left = 0;
    while (claim_one(store, NULL, NULL))
        left++;
    assert_int_equal(left, 19);

    /* And back again, during a waiting claim: that one fails, and the next one gets the submission. */
    wait_for(store_fixture.port, "replication", "master_link_status:up");
    assert_int_equal(pthread_create(&thread, NULL, claim_and_wait, &waiting), 0);
    nap_ms(300);
    (void)ask(new_port, "WAIT 1 5000");
    (void)ask(store_fixture.port, "REPLICAOF NO ONE");
    name.server_port = store_fixture.port;
    (void)ask(new_port, "REPLICAOF 127.0.0.1 %d", store_fixture.port);
    char token[TOKEN_BYTES];
    struct error err = { 0 };
    uint64_t until = now_ms() + 10000;
    while (try_add(store, token, &err) < 0 && now_ms() < until)
        nap_ms(20);
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("  the claim that slept: %s\n", waiting.result == 0 ? "got it" : waiting.err.text);
    if (waiting.result == 0)
        assert_int_equal(waiting.len, 1);
    else
        assert_true(claim_one(store, NULL, NULL));
    assert_true(waiting.took_ms < 5000);
    store_close(waiting.store);
    store_close(store);
    fixture_server_kill(&new_pid);
}

static void a_server_that_loads_its_data_is_retried(void **state)
{
    enum { BATCH = 100, BATCHES = 30 };
    (void)state;
    int port = fixture_free_port();
    pid_t pid = fixture_server_start(port, NULL);
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "redis://127.0.0.1:%d", port);
    struct store *store = fixture_open();
    for (int i = 0; i < BATCHES; i++) {
        struct store_new news[BATCH];
        for (int j = 0; j < BATCH; j++) {
            news[j] = (struct store_new){ .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
            store_new_token(store, "", news[j].token);
        }
        must(store_add(store, news, BATCH, &err));
    }
    fixture_server_kill(&pid);
    /* Killed and restarted without waiting; while loading it serves its connections every 1,024 commands. */
    pid = fixture_server_begin(port, (const char *const[]){ "--key-load-delay", "100", NULL });
    struct error err = { 0 };
    char token[TOKEN_BYTES];
    bool seen = false;
    uint64_t until = now_ms() + 20000;
    while (try_add(store, token, &err) < 0 && now_ms() < until) {
        seen |= strstr(err.text, "it is still loading its data") != NULL;
        nap_ms(5);
    }
    assert_true(seen);
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, BATCH * BATCHES + 1);
    free(depth);
    store_close(store);
    fixture_server_kill(&pid);
}

/* A cluster node that does not serve the keys, and one that does not know which node does. */
static void a_cluster_names_the_node_that_serves(void **state)
{
    (void)state;
    int ports[2] = { fixture_free_port(), fixture_free_port() };
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        char bus[16], nodes[32];
        (void)snprintf(bus, sizeof bus, "%d", fixture_free_port());
        (void)snprintf(nodes, sizeof nodes, "nodes-%d.conf", ports[i]);
        pids[i] = fixture_server_start(ports[i], (const char *const[]){ "--cluster-enabled", "yes", "--cluster-port",
                                                                        bus, "--cluster-config-file", nodes, NULL });
    }
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "redis://127.0.0.1:%d", ports[0]);
    struct store *store = fixture_open();
    expect_refused(store, "its cluster is down");
    (void)ask(ports[0], "CLUSTER ADDSLOTSRANGE 0 16383");
    wait_for(ports[0], "CLUSTER", "cluster_state:ok");
    wait_until_back(store); /* one node that serves everything */
    char token[TOKEN_BYTES];
    add_one(store, "c", PRIORITY_NORMAL, token);
    expect_state(store, token, SUBMISSION_QUEUED, "");
    store_close(store);

    char bus[16] = "";
    const char *line = strchr(ask(ports[0], "CLUSTER NODES"), '@');
    assert_non_null(line);
    (void)snprintf(bus, sizeof bus, "%.*s", (int)strspn(line + 1, "0123456789"), line + 1);
    (void)ask(ports[1], "CLUSTER MEET 127.0.0.1 %d %s", ports[0], bus);
    wait_for(ports[1], "CLUSTER", "cluster_state:ok");
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "redis://127.0.0.1:%d", ports[1]);
    store = fixture_open();
    expect_refused(store, "it is part of a cluster; name the node that serves the keys");
    store_close(store);
    for (int i = 0; i < 2; i++)
        fixture_server_kill(&pids[i]);
}

static void a_changed_password_is_an_error_until_it_is_right_again(void **state)
{
    (void)state;
    (void)ask(store_fixture.port, "ACL SETUSER runner on allkeys allchannels +@all >s3cret");
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "redis://runner:s3cret@127.0.0.1:%d",
                   store_fixture.port);
    struct store *store = fixture_open();
    add_one(store, "c", PRIORITY_NORMAL, NULL);
    (void)ask(store_fixture.port, "ACL SETUSER runner resetpass >other");
    free(depth_of(store)); /* connections that exist stay valid */
    (void)ask(store_fixture.port, "CLIENT KILL USER runner");
    expect_refused(store, "user or password is wrong");
    expect_refused(store, "user or password is wrong"); /* also while no connect is tried */
    (void)ask(store_fixture.port, "ACL SETUSER runner resetpass >s3cret");
    wait_until_back(store);
    (void)ask(store_fixture.port, "ACL SETUSER runner -@all");
    expect_refused(store, "the ACL forbids this to the user");
    (void)ask(store_fixture.port, "ACL SETUSER runner +@all");
    add_one(store, "c", PRIORITY_NORMAL, NULL);
    (void)ask(store_fixture.port, "ACL DELUSER runner");
    store_close(store);
}

const struct CMUnitTest tests_heal[] = {
    A_TEST(a_failover_keeps_everything),
    A_TEST(a_server_that_loads_its_data_is_retried),
    A_TEST(a_cluster_names_the_node_that_serves),
    A_TEST(a_changed_password_is_an_error_until_it_is_right_again),
};
const size_t tests_heal_len = sizeof tests_heal / sizeof *tests_heal;
