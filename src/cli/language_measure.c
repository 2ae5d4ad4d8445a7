/* language_measure: see the header. */
#include "cli/language_measure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMED_RUNS 7
#define PAUSE_US 200000u

static int compare_times(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return (one > other) - (one < other);
}

static int take_times(struct local_run *local_run, const struct submission *submission,
                      const struct local_result *first, uint64_t times[static TIMED_RUNS], struct error *err)
{
    uint64_t pause_us = PAUSE_US;

    for (size_t i = 0; i < TIMED_RUNS; i++) {
        enum verdict verdict;
        (void)usleep((useconds_t)pause_us);
        if (local_run_again(local_run, submission, first, &times[i], &verdict, err) < 0)
            return -1;
        if (verdict != VERDICT_ACCEPTED)
            return error_set(err, ERROR_SANDBOX, 0, "hello: the verdict of a repeated run is %s",
                             verdict_name(verdict));
        pause_us = times[i] > PAUSE_US ? times[i] : PAUSE_US;
    }
    qsort(times, TIMED_RUNS, sizeof times[0], compare_times);
    return 0;
}

/* Bisects between 0 and the limit of the language, which suffices. */
static uint64_t find_smallest(struct local_run *local_run, struct submission *submission,
                              const struct local_result *first)
{
    uint64_t *limit = &submission->tests[0].limits.memory_bytes, enough = *limit >> 20, too_little = 0;

    while (too_little + 1 < enough) {
        uint64_t tried = (too_little + enough) / 2, took_us;
        enum verdict verdict;
        struct error err;
        *limit = tried << 20;
        if (local_run_again(local_run, submission, first, &took_us, &verdict, &err) == 0 && verdict == VERDICT_ACCEPTED)
            enough = tried;
        else
            too_little = tried;
    }
    return enough << 20;
}

/* One test, compiled and run once. */
struct measured {
    struct submission submission;
    struct local_result first;
};

/* On error there is nothing to free. */
static int measured_init(struct local_run *local_run, const struct config *config, const struct language *language,
                         const struct language_test *language_test, struct measured *ret, struct error *err)
{
    if (language_test_submission(config, language, language_test, &ret->submission, err) < 0)
        return -1;
    if (local_run_test(local_run, &ret->submission, &ret->first, err) == 0) {
        if (language_test_compare(language_test, &ret->first.result, err) == 0)
            return 0;
        local_result_done(&ret->first);
    }
    submission_done(&ret->submission);
    return -1;
}

static void measured_done(struct measured *measured)
{
    local_result_done(&measured->first);
    submission_done(&measured->submission);
}

/* Bisects between what just passed and the limit.  Returns the percent of the limit that is whole. */
static uint64_t find_live(struct local_run *local_run, struct measured *measured)
{
    struct test *test = &measured->submission.tests[0];
    uint64_t limit = test->limits.memory_bytes >> 20, too_much = limit + 1, enough;

    if (text_parse_u64((struct text){ test->input.at, strcspn(test->input.at, "\n") }, &enough) < 0)
        return 0;
    while (enough + 1 < too_much) {
        uint64_t tried = (enough + too_much) / 2, took_us;
        char number[24];
        enum verdict verdict;
        struct error err;
        (void)snprintf(number, sizeof number, "%" PRIu64 "\n", tried);
        test->input = test->expected = text_of(number);
        if (local_run_again(local_run, &measured->submission, &measured->first, &took_us, &verdict, &err) == 0 &&
            verdict == VERDICT_ACCEPTED)
            enough = tried;
        else
            too_much = tried;
    }
    return enough * 100 / limit;
}

static int measure_live(struct local_run *local_run, const struct config *config, const struct language *language,
                        const struct language_tests *language_tests, uint64_t *ret_percent, struct error *err)
{
    struct measured measured;
    size_t i = 0;

    while (i < language_tests->len && strcmp(language_tests->list[i].name, "live_data") != 0)
        i++;
    if (i == language_tests->len)
        return 0;
    if (measured_init(local_run, config, language, &language_tests->list[i], &measured, err) < 0)
        return -1;
    *ret_percent = find_live(local_run, &measured);
    measured_done(&measured);
    return 0;
}

int language_measure(struct local_run *local_run, const struct config *config, const struct language *language,
                     const struct language_tests *language_tests, struct language_measures *ret, struct error *err)
{
    struct measured hello;
    uint64_t times[TIMED_RUNS];

    *ret = (struct language_measures){ 0 };
    if (measured_init(local_run, config, language, &language_tests->list[0], &hello, err) < 0)
        return -1;
    int outcome = take_times(local_run, &hello.submission, &hello.first, times, err);
    if (outcome == 0) {
        ret->hello_us = times[TIMED_RUNS / 2];
        ret->smallest_bytes = find_smallest(local_run, &hello.submission, &hello.first);
    }
    measured_done(&hello);
    return outcome < 0 ? -1 : measure_live(local_run, config, language, language_tests, &ret->live_percent, err);
}

int language_measure_package(struct local_run *local_run, const struct config *config, const struct language *language,
                             const struct language_test *packages, struct text name, uint64_t *ret_us,
                             struct error *err)
{
    struct language_test language_test;
    struct measured measured;

    if (language_test_of_package(packages, name, &language_test, err) < 0)
        return -1;
    int outcome = measured_init(local_run, config, language, &language_test, &measured, err);
    if (outcome == 0) {
        *ret_us = measured.first.result.compile_us + measured.first.result.stats.wall_us;
        measured_done(&measured);
    }
    language_test_done(&language_test);
    return outcome;
}
