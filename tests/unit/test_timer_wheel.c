/* The timing wheel, also compared with a linear search. */
#include "cases.h"

#include "base/timer_wheel.h"

#define TICK 20000u
#define TURN ((uint64_t)TIMER_WHEEL_BUCKETS * TICK)
#define START UINT64_C(123456789)

static struct timer_wheel wheel;

static int setup(void **state)
{
    (void)state;
    timer_wheel_init(&wheel, START);
    return 0;
}

static void a_timer_is_due_at_its_time_and_not_before(void **state)
{
    (void)state;
    static const uint64_t after[] = { 1, TICK - 1, TICK, TICK + 1, 1000000, TURN - 1, TURN, TURN + 1, 3 * TURN + 7 };
    for (size_t i = 0; i < LEN(after); i++) {
        struct timer timer = { 0 };
        uint64_t at = START + after[i];
        timer_wheel_init(&wheel, START);
        uint64_t due = timer_set(&wheel, &timer, at, START);
        assert_true(due >= at && due < at + TICK);
        uint64_t look = START;
        for (uint64_t next; (next = timer_wheel_next_us(&wheel)) < due; look = next) {
            assert_true(next > look);
            assert_null(timer_wheel_due(&wheel, next));
        }
        assert_null(timer_wheel_due(&wheel, due - 1));
        assert_ptr_equal(timer_wheel_due(&wheel, due), &timer);
        assert_false(timer.is_set);
        assert_null(timer_wheel_due(&wheel, due + 10 * TURN));
        assert_true(timer_wheel_next_us(&wheel) == UINT64_MAX);
    }
}

static void timers_due_at_once_are_found_in_the_same_tick_repeatedly(void **state)
{
    (void)state;
    struct timer timer = { 0 }, older = { 0 };
    for (unsigned i = 0; i < 5; i++) {
        assert_null(timer_wheel_due(&wheel, START + i));
        assert_true(timer_set(&wheel, &timer, START, START + i) <= START + i);
        assert_ptr_equal(timer_wheel_due(&wheel, START + i), &timer);
    }
    assert_null(timer_wheel_due(&wheel, START + 5 * TICK));
    (void)timer_set(&wheel, &older, START, START); /* by somebody whose clock was read before */
    assert_ptr_equal(timer_wheel_due(&wheel, START + 5 * TICK), &older);
}

static void a_cleared_timer_is_never_due(void **state)
{
    (void)state;
    struct timer timers[3] = { { 0 } };
    for (size_t i = 0; i < LEN(timers); i++)
        (void)timer_set(&wheel, &timers[i], START + TICK, START);
    timer_clear(&wheel, &timers[1]);
    timer_clear(&wheel, &timers[1]);
    (void)timer_set(&wheel, &timers[2], START + 2 * TURN, START);
    assert_ptr_equal(timer_wheel_due(&wheel, START + 2 * TICK), &timers[0]);
    assert_null(timer_wheel_due(&wheel, START + 2 * TICK));
    assert_int_equal(wheel.len, 1);
}

/* A clock that goes on by leaps, and things set, set anew and cleared at random: what is due is what a search finds. */
static void it_finds_the_same_timers_as_a_search(void **state)
{
    (void)state;
    static struct timer timers[300];
    static uint64_t due_us[LEN(timers)]; /* 0: not set */
    uint64_t now = START, next = 0;
    srandom(7);
    for (unsigned round = 0; round < 20000; round++) {
        size_t at = (size_t)random() % LEN(timers);
        if (random() % 4 == 0) {
            timer_clear(&wheel, &timers[at]);
            due_us[at] = 0;
        } else {
            uint64_t spell = (uint64_t)random() % (random() % 50 == 0 ? 3 * TURN : 3 * TICK);
            due_us[at] = timer_set(&wheel, &timers[at], now + spell, now);
        }
        next = timer_wheel_next_us(&wheel);
        for (size_t i = 0; i < LEN(timers); i++)
            assert_true(due_us[i] == 0 || next <= due_us[i]);
        now += (uint64_t)random() % (random() % 500 == 0 ? 2 * TURN : TICK);
        for (struct timer *due; (due = timer_wheel_due(&wheel, now)) != NULL;) {
            assert_true(due_us[due - timers] != 0 && due_us[due - timers] <= now);
            due_us[due - timers] = 0;
        }
        for (size_t i = 0; i < LEN(timers); i++)
            assert_true(due_us[i] == 0 || due_us[i] > now);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_timer_is_due_at_its_time_and_not_before, setup),
        cmocka_unit_test_setup(timers_due_at_once_are_found_in_the_same_tick_repeatedly, setup),
        cmocka_unit_test_setup(a_cleared_timer_is_never_due, setup),
        cmocka_unit_test_setup(it_finds_the_same_timers_as_a_search, setup),
    };
    return cmocka_run_group_tests_name("timer wheel", tests, NULL, NULL);
}
