/* sqlite_health: a file that is deleted, replaced or damaged under the open store, and a log that became large. */
#include "store_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sync.h"
#include "queue/sqlite/sqlite_store.h"

static void path_of(const char *end, char ret[512])
{
    (void)snprintf(ret, 512, "%.400s%s", store_fixture.config.store + strlen("sqlite:"), end);
}

/* Every call fails with this text within 10 s. */
static void expect_failure(struct store *store, const char *expected)
{
    struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
    struct error err = { 0 };
    struct queue_depth *depth = calloc(1, sizeof *depth);
    assert_non_null(depth);
    uint64_t until = now_ms() + 10000;
    while (err.kind == ERROR_NONE && now_ms() < until) {
        token_new(entry.token);
        (void)store_reap_expired(store, &err);
        if (store_add(store, &entry, 1, &err) == 0)
            nap_ms(50);
    }
    assert_int_equal(err.kind, ERROR_STORE);
    if (strstr(err.text, expected) == NULL)
        fail_msg("expected \"%s\" in: %s", expected, err.text);
    assert_int_equal(store_add(store, &entry, 1, &err), -1);
    assert_int_equal(store_depth(store, depth, &err), -1);
    free(depth);
}

static void a_deleted_file_is_noticed(void **state)
{
    (void)state;
    static const char *const ends[] = { "", "-wal", "-shm" };
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "sqlite:%s/%u-%zu/evalx.db",
                       store_fixture.folder, store_fixture.tests, i);
        struct store *store = fixture_open();
        char path[512], aside[520];
        add_one(store, "c", PRIORITY_NORMAL, NULL);
        path_of(ends[i], path);
        (void)snprintf(aside, sizeof aside, "%s-aside", path);
        assert_int_equal(rename(path, aside), 0);
        expect_failure(store, "was deleted under the running server");
        assert_int_equal(rename(aside, path), 0); /* it was only moved, so nothing is lost */
        struct error err = { 0 };
        uint64_t until = now_ms() + 10000;
        struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
        token_new(entry.token);
        while (store_add(store, &entry, 1, &err) < 0 && now_ms() < until)
            nap_ms(50);
        assert_true(claim_one(store, NULL, NULL));
        store_close(store);
    }
}

static void a_replaced_file_is_noticed(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char path[512], other[520];
    add_one(store, "c", PRIORITY_NORMAL, NULL);
    path_of("", path);
    (void)snprintf(other, sizeof other, "%s-other", path);
    int fd = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(rename(other, path), 0);
    expect_failure(store, "was replaced under the running server");
    store_close(store);
}

/* Overwrites all pages but the first one, of which SQLite has copies in memory. */
static void a_file_damaged_while_it_is_open_is_noticed(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char path[512], noise[4096];
    struct stat stat_buf;
    for (int i = 0; i < 300; i++)
        add_one(store, "c", PRIORITY_NORMAL, NULL);
    store_close(store);
    store = fixture_open();
    path_of("", path);
    memset(noise, 0x5a, sizeof noise);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &stat_buf) == 0);
    for (off_t at = 4096; at < stat_buf.st_size; at += 4096)
        assert_int_equal(pwrite(fd, noise, sizeof noise, at), sizeof noise);
    assert_int_equal(close(fd), 0);
    struct sqlite_store *sqlite = sqlite_of(store);
    mutex_lock(&sqlite->health_lock);
    sqlite->checked_ms = 0; /* the next check is due */
    mutex_unlock(&sqlite->health_lock);
    expect_failure(store, "is damaged");
    store_close(store);
}

static void a_large_log_is_truncated(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char path[512];
    struct stat stat_buf;
    size_t len = (size_t)80 << 20;
    char *payload = calloc(1, len);
    assert_non_null(payload);
    struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = { payload, len } };
    token_new(entry.token);
    must(store_add(store, &entry, 1, &err));
    free(payload);
    path_of("-wal", path);
    assert_int_equal(stat(path, &stat_buf), 0);
    assert_true(stat_buf.st_size > (off_t)len);
    must(store_reap_expired(store, &err));
    assert_int_equal(stat(path, &stat_buf), 0);
    assert_true(stat_buf.st_size < (off_t)1 << 20);
    expect_state(store, entry.token, SUBMISSION_QUEUED, NULL);
    add_one(store, "c", PRIORITY_HIGH, NULL);
    assert_true(claim_one(store, NULL, NULL));
    store_close(store);
}

const struct CMUnitTest tests_sqlite_health[] = {
    A_TEST(a_deleted_file_is_noticed),
    A_TEST(a_replaced_file_is_noticed),
    A_TEST(a_file_damaged_while_it_is_open_is_noticed),
    A_TEST(a_large_log_is_truncated),
};
const size_t tests_sqlite_health_len = sizeof tests_sqlite_health / sizeof *tests_sqlite_health;
