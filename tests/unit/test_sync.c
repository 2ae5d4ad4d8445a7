/* sync: locks that end with their scope, waits that end in time, back-off within its bounds, named threads. */
#include "cases.h"

#include <string.h>

#include "base/sync.h"

static pthread_mutex_t lock;
static pthread_cond_t cond;
static bool ready;

static int setup(void **state)
{
    (void)state;
    mutex_init(&lock);
    cond_init(&cond);
    ready = false;
    return 0;
}

static int leave_early(bool early)
{
    lock_guard(&lock);
    if (early)
        return 1;
    return 0;
}

static void a_guarded_lock_is_free_after_every_return(void **state)
{
    (void)state;
    (void)leave_early(true);
    assert_int_equal(pthread_mutex_trylock(&lock), 0);
    mutex_unlock(&lock);
    (void)leave_early(false);
    assert_int_equal(pthread_mutex_trylock(&lock), 0);
    mutex_unlock(&lock);
}

static void a_guarded_lock_is_held_until_the_block_ends(void **state)
{
    (void)state;
    {
        lock_guard(&lock);
        assert_int_not_equal(pthread_mutex_trylock(&lock), 0);
    }
    assert_int_equal(pthread_mutex_trylock(&lock), 0);
    mutex_unlock(&lock);
}

static void a_wait_without_a_signal_ends_at_its_deadline(void **state)
{
    (void)state;
    uint64_t begun = sync_now_us();
    lock_guard(&lock);
    while (cond_wait_for(&cond, &lock, 20000))
        ; /* spurious */
    assert_true(sync_now_us() - begun >= 20000);
    assert_false(cond_wait_until(&cond, &lock, 0));
}

static void *signal_ready(void *name)
{
    lock_guard(&lock);
    (void)pthread_getname_np(pthread_self(), name, 16);
    ready = true;
    cond_signal(&cond);
    return NULL;
}

static void a_signal_ends_a_wait_and_the_thread_has_its_name(void **state)
{
    (void)state;
    char name[16] = "";
    pthread_t thread;
    struct error err;
    mutex_lock(&lock);
    assert_int_equal(thread_start(&thread, "sync-test-named", signal_ready, name, &err), 0);
    while (!ready)
        cond_wait(&cond, &lock);
    mutex_unlock(&lock);
    thread_join(thread);
    /* The name is set by the starter, which holds the lock until it waits. */
    assert_string_equal(name, "sync-test-named");
}

static void back_off_doubles_up_to_its_ceiling(void **state)
{
    (void)state;
    static const uint64_t ceilings[] = { 50, 100, 200, 400, 800, 1000, 1000 };
    for (uint32_t failures = 1; failures <= LEN(ceilings); failures++)
        for (int i = 0; i < 100; i++) {
            uint64_t ms = backoff_ms(failures, 50, 1000);
            assert_true(ms >= ceilings[failures - 1] / 2 && ms <= ceilings[failures - 1]);
        }
    assert_true(backoff_ms(UINT32_MAX, 50, 1000) <= 1000);
}

static void jitter_differs(void **state)
{
    (void)state;
    uint64_t first = jitter_ms(1000000);
    bool differs = false;
    for (int i = 0; i < 20; i++)
        differs = differs || jitter_ms(1000000) != first;
    assert_true(differs);
    assert_int_equal(jitter_ms(0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_guarded_lock_is_free_after_every_return, setup),
        cmocka_unit_test_setup(a_guarded_lock_is_held_until_the_block_ends, setup),
        cmocka_unit_test_setup(a_wait_without_a_signal_ends_at_its_deadline, setup),
        cmocka_unit_test_setup(a_signal_ends_a_wait_and_the_thread_has_its_name, setup),
        cmocka_unit_test(back_off_doubles_up_to_its_ceiling),
        cmocka_unit_test(jitter_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
