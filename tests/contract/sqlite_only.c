/* sqlite_only: the file: its owner, files that are not accepted, a full disk. */
#include "store_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "queue/sqlite/sqlite_store.h"

static const char *file(void)
{
    return store_fixture.config.store + strlen("sqlite:");
}

static void open_fails(const char *expected)
{
    struct store *store = NULL;
    struct error err = { 0 };
    assert_int_equal(store_open(&store_fixture.config, &store, &err), -1);
    assert_int_equal(err.kind, ERROR_SETUP);
    if (strstr(err.text, expected) == NULL)
        fail_msg("expected \"%s\" in: %s", expected, err.text);
}

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(file(), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
}

static void one_process_at_a_time(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char expected[64];
    (void)snprintf(expected, sizeof expected, "in use by process %ld", (long)getpid());
    open_fails(expected);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct store *second;
        struct error err;
        _exit(store_open(&store_fixture.config, &second, &err) < 0 && err.kind == ERROR_SETUP ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    store_close(store);
    store_close(fixture_open());
}

static void folder_and_files_are_private_to_the_owner(void **state)
{
    (void)state;
    mode_t before = umask(0);
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "sqlite:%s/%u/a/b/evalx.db",
                   store_fixture.folder, store_fixture.tests);
    struct store *store = fixture_open();
    add_one(store, "c", PRIORITY_NORMAL, NULL);
    (void)umask(before);
    static const char *const ends[] = { "", "-wal", "-shm", ".lock" };
    struct stat stat_buf;
    char path[CONFIG_STRING_BYTES + 8];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        (void)snprintf(path, sizeof path, "%.255s%s", file(), ends[i]);
        assert_int_equal(stat(path, &stat_buf), 0);
        assert_int_equal(stat_buf.st_mode & 07777, 0600);
    }
    (void)snprintf(path, sizeof path, "%s/%u/a/b", store_fixture.folder, store_fixture.tests);
    assert_int_equal(stat(path, &stat_buf), 0);
    assert_int_equal(stat_buf.st_mode & 07777, 0700);
    store_close(store);
}

static void a_file_of_another_program_is_left_alone(void **state)
{
    (void)state;
    store_close(fixture_open()); /* makes the folder */
    run_sql("PRAGMA user_version=99");
    open_fails("newer evalx (schema 99");
    assert_int_equal(unlink(file()), 0);
    run_sql("CREATE TABLE accounts(name TEXT)");
    open_fails("another program");
    assert_int_equal(unlink(file()), 0);
    FILE *damaged = fopen(file(), "w");
    assert_non_null(damaged);
    for (int i = 0; i < 1000; i++)
        (void)fputs("this is no database ", damaged);
    assert_int_equal(fclose(damaged), 0);
    open_fails("no SQLite database");
    assert_int_equal(unlink(file()), 0);
    assert_int_equal(mkdir(file(), 0700), 0);
    open_fails(file());
    assert_int_equal(rmdir(file()), 0);
    (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "sqlite:%s/%u/evalx.db.lock/evalx.db",
                   store_fixture.folder, store_fixture.tests);
    open_fails("evalx.db.lock");
}

/* A file of schema 1, which had no named clients. */
static void an_older_file_is_upgraded(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char tokens[2][TOKEN_BYTES], claimed[TOKEN_BYTES];
    add_one(store, "c", PRIORITY_NORMAL, tokens[0]);
    assert_true(claim_one(store, claimed, NULL) && finish_one(store, claimed, 1, "done"));
    add_one(store, "c", PRIORITY_NORMAL, tokens[0]);
    add_one(store, "c", PRIORITY_NORMAL, tokens[1]);
    store_close(store);
    run_sql("DROP TABLE keyed; DROP INDEX submission_waiting; DROP INDEX submission_client;"
            "DROP INDEX submission_named; DROP INDEX submission_parked;"
            "CREATE INDEX submission_waiting ON submission(lane, priority, seq) WHERE state = 0;"
            "ALTER TABLE submission DROP COLUMN client; ALTER TABLE submission DROP COLUMN tag;"
            "ALTER TABLE submission DROP COLUMN parked; ALTER TABLE submission DROP COLUMN running_max;"
            "ALTER TABLE submission DROP COLUMN retried; ALTER TABLE dead DROP COLUMN client;"
            "ALTER TABLE submission DROP COLUMN returned; DROP INDEX submission_old;"
            "CREATE INDEX submission_old ON submission(finished) WHERE state >= 2;"
            "ALTER TABLE submission DROP COLUMN bytes; ALTER TABLE submission DROP COLUMN expires;"
            "ALTER TABLE dead DROP COLUMN running_max; PRAGMA user_version=1");
    for (size_t i = 0; i < 2; i++) { /* opened twice: before and after the upgrade */
        store = fixture_open();
        struct queue_depth *depth = depth_of(store);
        assert_int_equal(depth->queue_bytes, (2 - i) * strlen("work")); /* counted from the rows */
        assert_int_equal(depth->results_bytes, strlen("done") + i * strlen("[]"));
        free(depth);
        assert_true(claim_one(store, claimed, NULL));
        assert_string_equal(claimed, tokens[i]);
        assert_true(finish_one(store, claimed, 1, "[]"));
        store_close(store);
    }
}

static void a_damaged_file_is_reported(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    for (int i = 0; i < 300; i++)
        add_one(store, "c", PRIORITY_NORMAL, NULL);
    store_close(store);
    int fd = open(file(), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    char noise[4096];
    memset(noise, 0x5a, sizeof noise);
    struct stat stat_buf;
    assert_int_equal(fstat(fd, &stat_buf), 0);
    for (off_t at = 4096; at < stat_buf.st_size; at += 4096) /* all but the first page, with the schema */
        assert_int_equal(pwrite(fd, noise, sizeof noise, at), sizeof noise);
    assert_int_equal(close(fd), 0);
    open_fails("is damaged");
}

/* A file may not grow beyond the limit, as on a disk that is full. */
static void a_full_disk_refuses_and_loses_nothing(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char first[TOKEN_BYTES];
    add_one(store, "c", PRIORITY_NORMAL, first);
    struct rlimit before, small = { 64 << 10, 64 << 10 };
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    struct sigaction ignore = { .sa_handler = SIG_IGN }, was;
    assert_int_equal(sigaction(SIGXFSZ, &ignore, &was), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    size_t refused = 0, kept = 1;
    struct error err = { 0 };
    static char payload[8192];
    struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = { payload, sizeof payload } };
    char tokens[20][TOKEN_BYTES];
    bool accepted[20];
    for (size_t i = 0; i < 20; i++) {
        token_new(entry.token);
        memcpy(tokens[i], entry.token, TOKEN_BYTES);
        accepted[i] = store_add(store, &entry, 1, &err) == 0;
        kept += accepted[i];
        refused += !accepted[i];
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(sigaction(SIGXFSZ, &was, NULL), 0);
    assert_true(refused > 0);
    assert_int_equal(err.kind, ERROR_STORE);
    print_message("  %zu refused: %s\n", refused, err.text);
    for (size_t i = 0; i < 20; i++) {
        struct store_view view = view_of(store, tokens[i]);
        assert_int_equal(view.found, accepted[i]);
        store_view_done(&view);
    }
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, kept);
    free(depth);
    assert_true(claim_one(store, NULL, NULL)); /* and it works again */
    add_one(store, "c", PRIORITY_NORMAL, NULL);
    store_close(store);
    store = fixture_open();
    depth = depth_of(store);
    assert_int_equal(depth->waiting, kept + 1); /* what ran is queued again */
    free(depth);
    store_close(store);
}

/* ---- group commit ---- */

static int apply_fail(struct sqlite_store *store, void *what, struct error *err)
{
    *(bool *)what = true;
    struct sqlite_count_delta change = { .queue = sqlite_queue(store, "c"), .priority = PRIORITY_NORMAL, .waiting = 1 };
    sqlite_count(store, &change); /* must be undone */
    return error_set(err, ERROR_REQUEST, 0, "this one fails");
}

static void *fail_many(void *context)
{
    for (int i = 0; i < 300; i++) {
        struct error err = { 0 };
        bool ran = false;
        struct sqlite_op op = { .apply = apply_fail, .what = &ran };
        if (sqlite_commit(context, &op, &err) != -1 || !ran || strcmp(err.text, "this one fails") != 0)
            abort();
    }
    return NULL;
}

static void *add_some(void *context)
{
    for (int i = 0; i < 300; i++) {
        struct error err = { 0 };
        struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
        token_new(entry.token);
        if (store_add(context, &entry, 1, &err) < 0)
            abort();
    }
    return NULL;
}

static void one_failure_does_not_undo_its_neighbours(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    pthread_t threads[6];
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i % 2 == 0 ? fail_many : add_some, store), 0);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    struct queue_depth *depth = depth_of(store);
    assert_int_equal(depth->waiting, 900);
    free(depth);
    store_close(store);
    store = fixture_open(); /* counted from the rows */
    depth = depth_of(store);
    assert_int_equal(depth->waiting, 900);
    free(depth);
    store_close(store);
}

/* The query plan of every statement: none may scan the submissions. */
static void no_statement_walks_through_the_submissions(void **state)
{
    (void)state;
    store_close(fixture_open());
    sqlite3 *db = NULL;
    size_t looked = 0;
    assert_int_equal(sqlite3_open(file(), &db), SQLITE_OK);
    for (enum sqlite_query query = 0; query < QUERY_COUNT_; query++) {
        if (query == QUERY_COUNT_WAITING || query == QUERY_COUNT_RUNNING || query == QUERY_COUNT_ENDED)
            continue; /* once, when the store opens */
        char sql[1024];
        sqlite3_stmt *plan = NULL;
        (void)snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", sqlite_query_sql(query));
        if (sqlite3_prepare_v2(db, sql, -1, &plan, NULL) != SQLITE_OK)
            fail_msg("%s: %s", sql, sqlite3_errmsg(db));
        while (sqlite3_step(plan) == SQLITE_ROW) {
            const char *detail = (const char *)sqlite3_column_text(plan, 3);
            looked++;
            if (strncmp(detail, "SCAN", 4) == 0 && strstr(sql, "dead") == NULL) /* at most 1000 of those */
                fail_msg("%s\n%s", sqlite_query_sql(query), detail);
            if (strstr(detail, "TEMP B-TREE") != NULL && strstr(sql, "dead") == NULL)
                fail_msg("%s\n%s", sqlite_query_sql(query), detail);
        }
        (void)sqlite3_finalize(plan);
    }
    (void)sqlite3_close(db);
    assert_true(looked > 15);
}

const struct CMUnitTest tests_sqlite[] = {
    A_TEST(one_process_at_a_time),
    A_TEST(folder_and_files_are_private_to_the_owner),
    A_TEST(a_file_of_another_program_is_left_alone),
    A_TEST(an_older_file_is_upgraded),
    A_TEST(a_damaged_file_is_reported),
    A_TEST(a_full_disk_refuses_and_loses_nothing),
    A_TEST(one_failure_does_not_undo_its_neighbours),
    A_TEST(no_statement_walks_through_the_submissions),
};
const size_t tests_sqlite_len = sizeof tests_sqlite / sizeof *tests_sqlite;
