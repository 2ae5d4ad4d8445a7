/*
 * store_contract: the promises of queue/queue.h, one suite for all stores: store_contract sqlite|redis|shards [TEST].
 * A time in a test is either an upper bound that detects a hang, or the minimum for the test to be meaningful.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_fixture.h"

static struct CMUnitTest chosen[128];
static size_t chosen_len;

static void choose(const struct CMUnitTest tests[], size_t len, const char *only)
{
    for (size_t i = 0; i < len; i++)
        if (only == NULL || strstr(tests[i].name, only) != NULL) {
            if (chosen_len == sizeof chosen / sizeof *chosen)
                abort();
            chosen[chosen_len++] = tests[i];
        }
}

int main(int argc, char **argv)
{
    bool is_known = argc >= 2 &&
                    (strcmp(argv[1], "sqlite") == 0 || strcmp(argv[1], "redis") == 0 || strcmp(argv[1], "shards") == 0);
    if (!is_known || argc > 3) {
        (void)fprintf(stderr, "usage: store_contract sqlite|redis|shards [part of a test's name]\n");
        return 2;
    }
    const char *only = argc == 3 ? argv[2] : NULL;
    int started = fixture_start(argv[1]);
    if (started != 0)
        return started;
    choose(tests_transitions, tests_transitions_len, only);
    choose(tests_queue, tests_queue_len, only);
    choose(tests_clients, tests_clients_len, only);
    choose(tests_dead, tests_dead_len, only);
    choose(tests_bytes, tests_bytes_len, only);
    choose(tests_served, tests_served_len, only);
    choose(tests_shared_cache, tests_shared_cache_len, only);
    choose(tests_wake, tests_wake_len, only);
    choose(tests_crash, tests_crash_len, only);
    if (store_fixture.is_shards) {
        choose(tests_shards, tests_shards_len, only);
    } else if (store_fixture.is_redis) {
        choose(tests_redis, tests_redis_len, only);
        choose(tests_heal, tests_heal_len, only);
        choose(tests_tls, tests_tls_len, only);
    } else {
        choose(tests_sqlite, tests_sqlite_len, only);
        choose(tests_sqlite_flush, tests_sqlite_flush_len, only);
        choose(tests_sqlite_health, tests_sqlite_health_len, only);
    }
    /* Not cmocka_run_group_tests: that macro takes the length from the array. */
    int failed = _cmocka_run_group_tests(argv[1], chosen, chosen_len, NULL, NULL);
    fixture_end();
    return failed;
}
