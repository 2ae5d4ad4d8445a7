/*
 * A slot with 250 busy processes changes no verdict in another slot.  EVALX_FAIR_RUNS=100: so many runs of each kind.
 */
#include "sandbox_fixture.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandboxd/wait_time.h"

#define HOGS "250"

static unsigned runs = 5;
static int program = -1;
static struct sandbox_slot *hog_slot;
static pthread_t hog;

static struct run_request job_of(const char *const argv[])
{
    struct run_request job = shell_job(argv);
    job.archive_fd = program;
    return job;
}

static void *run_hog(void *unused)
{
    const char *const argv[] = { "/box/program", "spin-in-processes", HOGS, NULL };
    struct run_request job = job_of(argv);
    struct run_outcome outcome;
    struct error err;
    job.limits.cpu_us = job.limits.wall_us = UINT64_C(3600) * 1000000;
    job.limits.processes = 300;
    if (sandbox_run(hog_slot, &job, &outcome, &err) == 0)
        run_outcome_done(&outcome);
    return unused;
}

/* Runs beside the hog, and prints how long the runs took and how much of it they waited. */
static void expect_no_time_limit(const char *const argv[], const struct limits *limits)
{
    struct run_request job = job_of(argv);
    uint64_t wall_us = 0, waited_us = 0, cpu_us = 0;
    unsigned exceeded = 0;
    job.limits = *limits;
    for (unsigned i = 0; i < runs; i++) {
        struct run_outcome o = run_job(&job);
        exceeded += o.stats.wall_exceeded || o.stats.cpu_exceeded;
        if (o.stats.exit_code != 0 || o.stats.signal != 0)
            print_message("  run %u: exit status %d, signal %d, %.*s\n", i, o.stats.exit_code, o.stats.signal,
                          (int)o.errors.len, o.errors.len > 0 ? o.errors.at : "");
        wall_us += o.stats.wall_us;
        waited_us += o.stats.waited_us;
        cpu_us += o.stats.cpu_us;
        run_outcome_done(&o);
    }
    print_message("  %u runs, mean: %" PRIu64 " ms, waited %" PRIu64 " ms, CPU %" PRIu64 " ms of %" PRIu64 "\n", runs,
                  wall_us / runs / 1000, waited_us / runs / 1000, cpu_us / runs / 1000, limits->cpu_us / 1000);
    assert_int_equal(exceeded, 0);
}

static void four_fifths_of_the_cpu_limit(void **state)
{
    (void)state;
    const char *const argv[] = { "/box/program", "spin", "400000", NULL };
    struct limits limits = easy;
    limits.cpu_us = 500000;
    limits.wall_us = 600000; /* less than it takes beside the hog */
    expect_no_time_limit(argv, &limits);
}

static void four_fifths_of_the_wall_limit_asleep(void **state)
{
    (void)state;
    const char *const argv[] = { "/usr/bin/bash", "-c", "/box/program spin 50000; exec sleep 0.5", NULL };
    struct limits limits = easy;
    limits.wall_us = 700000;
    expect_no_time_limit(argv, &limits);
}

/* As a compiler's driver: it sleeps while one child after the other works. */
static void children_one_after_the_other(void **state)
{
    (void)state;
    const char *const argv[] = { "/usr/bin/bash", "-c",
                                 "for i in 1 2 3 4; do /box/program spin 100000; done | /usr/bin/cat", NULL };
    struct limits limits = easy;
    limits.wall_us = 600000;
    expect_no_time_limit(argv, &limits);
}

static void sleeping_counts_beside_a_hog(void **state)
{
    (void)state;
    const char *const argv[] = { "/usr/bin/sleep", "60", NULL };
    struct run_request job = job_of(argv);
    job.limits.wall_us = 300000;
    struct run_outcome o = run_job(&job);
    assert_true(o.stats.wall_exceeded);
    run_outcome_done(&o);
}

/* ---- the rule of wait_time.h ---- */

static void waiting_is_credited_once_and_never_more_than_passed(void **state)
{
    (void)state;
    struct wait_time wait = { 0 };
    wait_time_add(&wait, 7000, 1000, 21000, 26000, 2); /* 20 ms passed; 13 ms on each of two processors */
    assert_int_equal(wait.waited_us, 7000);
    wait_time_add(&wait, 0, 1000, 41000, 26000, 2);
    assert_int_equal(wait.waited_us, 7000);
    /* A long wait is known at its end, and reaches back to the last one that was known. */
    wait_time_add(&wait, 39000, 1000, 61000, 26000, 2);
    assert_int_equal(wait.waited_us, 46000);
    /* Threads that wait for each other while both processors are theirs gain nothing. */
    wait_time_add(&wait, 900000, 1000, 161000, 228000, 2);
    assert_int_equal(wait.waited_us, 46000);
    /* What a task waited before the run began is not the run's. */
    wait = (struct wait_time){ 0 };
    wait_time_add(&wait, 5000000, 1000000, 1020000, 0, 1);
    assert_int_equal(wait.waited_us, 20000);
}

static void a_wait_that_lasts_is_counted_once(void **state)
{
    (void)state;
    struct wait_task tasks[5] = {
        { .id = 7, .is_ready = true, .ran_ns = 1000, .waited_us = 100 },
        { .id = 7, .is_ready = true, .ran_ns = 1000, .waited_us = 100 },
        { .id = 7, .is_ready = true, .ran_ns = 1000, .waited_us = 100 },
        { .id = 7, .is_ready = true, .ran_ns = 2000, .waited_us = 50100 },
        { .id = 7, .is_ready = false, .ran_ns = 2000, .waited_us = 50100 },
    };
    static const uint64_t expected[] = { 100, 20000, 20000, 10000, 0 };
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(wait_time_of_task(i == 0 ? NULL : &tasks[i - 1], &tasks[i], 20000), expected[i]);
    /* A task that became ready since the last sample may have done so just now. */
    assert_int_equal(
        wait_time_of_task(&(struct wait_task){ .id = 7 }, &(struct wait_task){ .id = 7, .is_ready = true }, 20000), 0);
}

static void a_run_ends_after_ten_times_its_limit(void **state)
{
    (void)state;
    const struct limits limits = { .cpu_us = 1000000, .wall_us = 1000 };
    struct run_stats stats = { .wall_us = 9999, .waited_us = 9000 };
    run_stats_compare(&stats, &limits);
    assert_false(stats.wall_exceeded);
    stats = (struct run_stats){ .wall_us = 1500, .waited_us = 500 };
    run_stats_compare(&stats, &limits);
    assert_true(stats.wall_exceeded);
    stats = (struct run_stats){ .wall_us = 10000, .waited_us = 9999 };
    run_stats_compare(&stats, &limits);
    assert_true(stats.wall_exceeded);
}

/* ---- */

static int start(void **state)
{
    struct error err;
    const char *wanted = getenv("EVALX_FAIR_RUNS");
    if (wanted != NULL)
        runs = (unsigned)strtoul(wanted, NULL, 10);
    program = archive_of_program("limits_program", 0);
    if (sandbox_fixture_start(state) < 0 || sandbox_slot_open(sandbox, 1, &hog_slot, &err) < 0)
        return -1;
    if (pthread_create(&hog, NULL, run_hog, NULL) != 0)
        return -1;
    pause_ms(300);
    return 0;
}

static int stop(void **state)
{
    sandbox_cancel(hog_slot);
    (void)pthread_join(hog, NULL);
    sandbox_slot_close(hog_slot);
    (void)close(program);
    return sandbox_fixture_stop(state);
}

int main(int argc, char **argv)
{
    if (sandbox_fixture_skipped(argc, argv))
        return 77;
    if (slowness() > 4) {
        print_message("skipped: on a machine this slow the start of a program exceeds these limits\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_fifths_of_the_cpu_limit),
        cmocka_unit_test(four_fifths_of_the_wall_limit_asleep),
        cmocka_unit_test(children_one_after_the_other),
        cmocka_unit_test(sleeping_counts_beside_a_hog),
        cmocka_unit_test(waiting_is_credited_once_and_never_more_than_passed),
        cmocka_unit_test(a_wait_that_lasts_is_counted_once),
        cmocka_unit_test(a_run_ends_after_ten_times_its_limit),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
