/*
 * store_fixture: the environment of the contract tests: a folder for SQLite, a redis-server for Redis, two of them for
 * shards.  Each test begins with an empty store and the default settings, which it may change before fixture_open.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <sys/types.h>

#include "config/config.h"
#include "queue/queue.h"

#define FIXTURE_SERVERS 3

struct store_fixture {
    bool is_redis;  /* also for shards */
    bool is_shards; /* two redis-servers; a test may start the third */
    bool is_pinned; /* set by a test: all its submissions are in the second shard */
    char folder[128];
    struct config config;
    int port;    /* of the (first) redis-server */
    pid_t redis; /* 0: not running */
    struct {
        int port;
        pid_t pid;
    } more[FIXTURE_SERVERS - 1]; /* the second and the third, for shards */
    unsigned tests;
};
extern struct store_fixture store_fixture;

int fixture_start(const char *kind); /* "sqlite", "redis" or "shards"; returns 77 if it is not installed */
void fixture_end(void);
int fixture_fresh(void **state); /* cmocka set-up */

struct store *fixture_open(void); /* fails the test if it cannot */
void fixture_redis_start(void);
void fixture_redis_kill(void);
void fixture_more_start(size_t i); /* of `more`; keeps its data */
void fixture_more_kill(size_t i);
/* Starts another server on loopback, with these additional arguments (NULL: none), and waits until it is ready. */
pid_t fixture_server_start(int port, const char *const more[]);
pid_t fixture_server_begin(int port, const char *const more[]); /* without waiting for it */
void fixture_server_kill(pid_t *pid);                           /* and sets it to 0; 0: none runs */
int fixture_free_port(void);
/* A token for a new submission. */
void fixture_name(struct store *store, char ret_token[TOKEN_BYTES]);
/* Sends one command to the redis-server, to inspect its data; the test frees the reply. */
redisReply *fixture_redis(const char *format, ...);
/* How often all servers ran this command, or any command (NULL), since they started, including scripts. */
uint64_t fixture_redis_calls(const char *command);

/* Fails the test with the text of the error. */
#define must(call)                                                                                                     \
    do {                                                                                                               \
        struct error err = { 0 };                                                                                      \
        if ((call) < 0)                                                                                                \
            fail_msg("%s: %s", #call, err.text);                                                                       \
    } while (0)

extern const char *const queues_all[]; /* "c", "python", "bash" */
struct store_worker worker_named(const char *name);
uint64_t now_ms(void);
void nap_ms(unsigned ms);

/* Adds a submission with the payload "work". */
void add_one(struct store *store, const char *queue, enum submission_priority priority, char ret_token[TOKEN_BYTES]);
/* Claims one without waiting and checks that its payload is "work".  False: none waits. */
bool claim_one(struct store *store, char ret_token[TOKEN_BYTES], uint32_t *ret_attempt);
bool finish_one(struct store *store, const char *token, uint32_t attempt, const char *result); /* by worker "one" */
enum store_lease_state beat_one(struct store *store, const char *token, uint32_t attempt);
struct store_view view_of(struct store *store, const char *token); /* the test ends it */
void expect_state(struct store *store, const char *token, enum submission_state state, const char *result);
struct queue_depth *depth_of(struct store *store); /* the test frees it */
/* Reaps until a submission can be claimed; fails the test after 10 s. */
void claim_after_reaping(struct store *store, char ret_token[TOKEN_BYTES], uint32_t *ret_attempt);

/* The tests, by file. */
extern const struct CMUnitTest tests_sqlite_flush[], tests_sqlite_health[], tests_bytes[], tests_served[];
extern const size_t tests_sqlite_flush_len, tests_sqlite_health_len, tests_bytes_len, tests_served_len;
extern const struct CMUnitTest tests_transitions[], tests_queue[], tests_wake[], tests_crash[], tests_redis[],
    tests_sqlite[], tests_tls[], tests_heal[], tests_shards[], tests_clients[], tests_dead[], tests_shared_cache[];
extern const size_t tests_transitions_len, tests_queue_len, tests_wake_len, tests_crash_len, tests_redis_len,
    tests_sqlite_len, tests_tls_len, tests_heal_len, tests_shards_len, tests_clients_len, tests_dead_len,
    tests_shared_cache_len;
#define A_TEST(name)                                                                                                   \
    {                                                                                                                  \
#name, name, fixture_fresh, NULL, NULL                                                                         \
    }
