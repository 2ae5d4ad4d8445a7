/* schedule: the cases its rules are made for.  tests/property/test_schedule.c tries random ones. */
#include "cases.h"

#include "worker/flights.h"
#include "worker/job.h"

static struct schedule schedule;
static struct schedule_entry entries[70];
static size_t entries_len;

static int set_up(void **state)
{
    (void)state;
    memset(&schedule, 0, sizeof schedule);
    memset(entries, 0, sizeof entries);
    entries_len = 0;
    schedule.flow_jobs = 4;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < entries_len; i++) {
        while (entries[i].running > 0)
            schedule_step_ended(&entries[i]);
        schedule_remove(&schedule, &entries[i]);
    }
    return 0;
}

static struct schedule_entry *add(const char *client, enum submission_priority priority, size_t ready)
{
    struct schedule_entry *entry = &entries[entries_len++];

    entry->ready = ready;
    schedule_add(&schedule, entry, client, priority);
    return entry;
}

static struct schedule_entry *start_next(void)
{
    struct schedule_entry *next = schedule_next(&schedule);

    assert_non_null(next);
    schedule_step_started(&schedule, next);
    next->ready--;
    return next;
}

/* Runs the next step to its end, as a worker with one slot does. */
static struct schedule_entry *serve(void)
{
    struct schedule_entry *next = start_next();

    schedule_step_ended(next);
    return next;
}

static void a_new_client_is_next(void **state)
{
    (void)state;
    struct schedule_entry *first = add("a", PRIORITY_NORMAL, 40);

    assert_ptr_equal(serve(), first);
    struct schedule_entry *other = add("b", PRIORITY_NORMAL, 2);
    assert_ptr_equal(serve(), other);
    assert_ptr_equal(serve(), first);
    assert_ptr_equal(serve(), other);
}

static void a_client_whose_steps_are_long_keeps_its_share(void **state)
{
    (void)state;
    struct schedule_entry *longs = add("a", PRIORITY_NORMAL, 40), *shorts = add("b", PRIORITY_NORMAL, 40);

    assert_ptr_equal(start_next(), longs); /* keeps the first slot for long */
    for (int i = 0; i < 20; i++)
        assert_ptr_equal(serve(), shorts); /* the second slot */
}

static void jobs_of_one_client_take_turns(void **state)
{
    (void)state;
    struct schedule_entry *old = add("", PRIORITY_NORMAL, 40);

    assert_ptr_equal(serve(), old);
    for (int i = 0; i < 5; i++) { /* a stream of new ones does not push the old one back */
        struct schedule_entry *new = add("", PRIORITY_NORMAL, 1);
        assert_ptr_equal(serve(), new);
        assert_ptr_equal(serve(), old);
    }
}

static void the_lowest_priority_gets_every_8th_turn(void **state)
{
    (void)state;
    struct schedule_entry *high = add("a", PRIORITY_HIGH, 100), *low = add("b", PRIORITY_LOW, 100);
    unsigned lows = 0;

    for (int i = 0; i < 80; i++) {
        const struct schedule_entry *served = serve();
        lows += served == low;
        assert_true(served == low || served == high);
    }
    assert_int_equal(lows, 10);
}

static void a_look_leaves_out_what_would_wait(void **state)
{
    (void)state;
    struct store_filter filter;
    struct schedule_entry *held = add("a", PRIORITY_NORMAL, 40);

    assert_ptr_equal(serve(), held);
    assert_true(schedule_look(&schedule, &filter));
    assert_true(store_filter_passes(&filter, "b", PRIORITY_HIGH));
    assert_true(store_filter_passes(&filter, "b", PRIORITY_NORMAL));
    assert_true(store_filter_passes(&filter, "a", PRIORITY_NORMAL)); /* another job of the same client */
    assert_false(store_filter_passes(&filter, "b", PRIORITY_LOW));
    for (int i = 0; i < 3; i++)
        (void)add("a", PRIORITY_NORMAL, 1);
    assert_true(schedule_look(&schedule, &filter));
    assert_false(store_filter_passes(&filter, "a", PRIORITY_NORMAL)); /* it holds four */
    assert_true(store_filter_passes(&filter, "a", PRIORITY_HIGH));
}

static void a_look_that_cannot_name_all_clients_is_none(void **state)
{
    (void)state;
    struct store_filter filter;
    char name[8];

    schedule.flow_jobs = 1;
    for (unsigned i = 0; i <= STORE_FLOWS_MAX; i++) {
        (void)snprintf(name, sizeof name, "c%u", i);
        (void)add(name, PRIORITY_NORMAL, 1);
    }
    assert_false(schedule_look(&schedule, &filter));
}

static void equal_compiles_wait_for_the_first(void **state)
{
    (void)state;
    struct flights flights = { 0 };
    struct job first = { 0 }, second = { 0 }, third = { 0 };
    char key[HASH_HEX_BYTES] = "aa", other[HASH_HEX_BYTES] = "bb";

    assert_false(flights_join(&flights, key, &first, 0));
    assert_true(flights_join(&flights, key, &second, 3));
    assert_false(flights_join(&flights, other, &third, 0));
    assert_true(flights_join(&flights, key, &third, 1));
    assert_true(flights_join(&flights, key, &second, 4));
    flights_leave(&flights, &second);
    struct flight_waiter *waiter = flights_end(&flights, key);
    assert_non_null(waiter);
    assert_ptr_equal(waiter->job, &third);
    assert_int_equal(waiter->program, 1);
    assert_null(waiter->next);
    free(waiter);
    assert_null(flights_end(&flights, other));
    assert_false(flights_join(&flights, key, &first, 0)); /* the next one begins anew */
    assert_null(flights_end(&flights, key));
    assert_null(flights.first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_client_is_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_whose_steps_are_long_keeps_its_share, set_up, tear_down),
        cmocka_unit_test_setup_teardown(jobs_of_one_client_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_lowest_priority_gets_every_8th_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_look_leaves_out_what_would_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_look_that_cannot_name_all_clients_is_none, set_up, tear_down),
        cmocka_unit_test(equal_compiles_wait_for_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
