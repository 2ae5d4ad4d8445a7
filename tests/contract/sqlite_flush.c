/*
 * sqlite_flush: what is visible before it is durable, and what is not.  The tests replace fdatasync, also for SQLite,
 * so that it can block or fail like a disk.
 */
#include "store_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

static _Atomic int flushes_held; /* 1: they block */
static _Atomic int flushes_fail;
static _Atomic unsigned flushes;

int fdatasync(int fd);
int fdatasync(int fd)
{
    while (atomic_load(&flushes_held))
        (void)usleep(500);
    atomic_fetch_add(&flushes, 1);
    if (atomic_load(&flushes_fail)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

struct call {
    struct store *store;
    char token[TOKEN_BYTES];
    uint32_t attempt;
    pthread_t thread;
    _Atomic bool returned;
};

static void *call_add(void *context)
{
    struct call *call = context;
    add_one(call->store, "c", PRIORITY_NORMAL, call->token);
    atomic_store(&call->returned, true);
    return NULL;
}

static void *call_finish(void *context)
{
    struct call *call = context;
    assert_true(finish_one(call->store, call->token, call->attempt, "[1]"));
    atomic_store(&call->returned, true);
    return NULL;
}

static void *call_view(void *context)
{
    struct call *call = context;
    expect_state(call->store, call->token, SUBMISSION_COMPLETED, "[1]");
    atomic_store(&call->returned, true);
    return NULL;
}

static void call_start(struct call *call, void *body(void *))
{
    assert_int_equal(pthread_create(&call->thread, NULL, body, call), 0);
}

static _Atomic int told; /* 1 + the latest state */

static void on_told(void *context, const char token[TOKEN_BYTES], enum submission_state state, bool cancelled)
{
    (void)context;
    (void)token;
    (void)cancelled;
    atomic_store(&told, 1 + (int)state);
}

static void a_run_may_begin_while_its_add_is_flushed(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct call add = { .store = store };
    struct store_worker worker = worker_named("early");
    struct store_claim claim;
    size_t len = 0;
    atomic_store(&flushes_held, 1);
    call_start(&add, call_add);
    must(store_claim(store, &worker, 1, 5000, &claim, &len, &err));
    assert_int_equal(len, 1); /* claimed while the disk is blocked ... */
    nap_ms(50);
    assert_false(atomic_load(&add.returned)); /* ... and before the add returns */
    atomic_store(&flushes_held, 0);
    assert_int_equal(pthread_join(add.thread, NULL), 0);
    assert_string_equal(claim.token, add.token);
    store_claim_done(&claim);
    store_close(store);
}

static _Atomic bool end_told;

static void on_end(void *context, const char token[TOKEN_BYTES], const struct store_view *end)
{
    (void)context;
    (void)token;
    assert_null(end); /* it is not durable yet */
    atomic_store(&end_told, true);
}

static void an_end_is_shown_when_it_is_flushed(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct call finish = { .store = store }, view = { .store = store };
    store_watch_results(store, on_end, NULL);
    must(store_watch(store, on_told, NULL, &err));
    add_one(store, "c", PRIORITY_NORMAL, finish.token);
    assert_true(claim_one(store, finish.token, &finish.attempt));
    memcpy(view.token, finish.token, sizeof view.token);
    atomic_store(&told, 0);
    atomic_store(&end_told, false);
    atomic_store(&flushes_held, 1);
    call_start(&finish, call_finish);
    nap_ms(100);
    call_start(&view, call_view);
    nap_ms(100);
    assert_true(atomic_load(&end_told));                         /* so that it is read during the flush */
    assert_false(atomic_load(&finish.returned));                 /* to the worker */
    assert_false(atomic_load(&view.returned));                   /* to store_get */
    assert_true(atomic_load(&told) != 1 + SUBMISSION_COMPLETED); /* to the watcher */
    atomic_store(&flushes_held, 0);
    assert_int_equal(pthread_join(finish.thread, NULL), 0);
    assert_int_equal(pthread_join(view.thread, NULL), 0);
    for (uint64_t until = now_ms() + 5000; atomic_load(&told) != 1 + SUBMISSION_COMPLETED && now_ms() < until;)
        nap_ms(5);
    assert_int_equal(atomic_load(&told), 1 + SUBMISSION_COMPLETED);
    store_close(store);
}

static void one_flush_serves_many(void **state)
{
    (void)state;
    enum { MANY = 16 };
    struct store *store = fixture_open();
    struct call adds[MANY];
    atomic_store(&flushes_held, 1);
    unsigned before = atomic_load(&flushes);
    for (size_t i = 0; i < MANY; i++) {
        adds[i] = (struct call){ .store = store };
        call_start(&adds[i], call_add);
    }
    struct queue_depth *depth;
    for (uint64_t until = now_ms() + 5000; (depth = depth_of(store))->waiting < MANY && now_ms() < until;) {
        free(depth);
        nap_ms(5);
    }
    assert_int_equal(depth->waiting, MANY); /* the blocked flush delays no commit */
    free(depth);
    atomic_store(&flushes_held, 0);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(pthread_join(adds[i].thread, NULL), 0);
    assert_in_range(atomic_load(&flushes) - before, 1, 2); /* that one, and one for all commits since */
    store_close(store);
}

static void nothing_is_accepted_after_a_failed_flush(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
    struct error refusal = { 0 };
    char early[TOKEN_BYTES];
    add_one(store, "c", PRIORITY_NORMAL, early);

    atomic_store(&flushes_fail, 1);
    fixture_name(store, entry.token);
    assert_int_equal(store_add(store, &entry, 1, &refusal), -1);
    assert_int_equal(refusal.kind, ERROR_STORE);
    assert_non_null(strstr(refusal.text, "could not be flushed"));
    atomic_store(&flushes_fail, 0);

    /* The kernel would report success now, although what it could not write is lost. */
    fixture_name(store, entry.token);
    assert_int_equal(store_add(store, &entry, 1, &refusal), -1);
    assert_int_equal(refusal.kind, ERROR_STORE);
    store_close(store);

    store = fixture_open();
    fixture_name(store, entry.token);
    must(store_add(store, &entry, 1, &err));
    expect_state(store, early, SUBMISSION_QUEUED, "");
    store_close(store);
}

const struct CMUnitTest tests_sqlite_flush[] = {
    A_TEST(a_run_may_begin_while_its_add_is_flushed),
    A_TEST(an_end_is_shown_when_it_is_flushed),
    A_TEST(one_flush_serves_many),
    A_TEST(nothing_is_accepted_after_a_failed_flush),
};
const size_t tests_sqlite_flush_len = sizeof tests_sqlite_flush / sizeof *tests_sqlite_flush;
