/*
 * bench_limits: how exact limits are on this machine.  By how much runs overshoot their time limits, and how far the
 * CPU time of one program spreads over repeated runs.
 *
 *   meson test -C BUILD --benchmark limits --verbose        (as root; or BUILD/tests/sandbox/bench_limits [RUNS])
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "limits_run.h"

#define RUNS_MAX 10000

static uint64_t samples[RUNS_MAX];

static void print_line(const char *what, uint64_t limit_us, struct spread s)
{
    char limit[24] = "";
    if (limit_us > 0)
        (void)snprintf(limit, sizeof limit, "%" PRIu64 " ms", limit_us / 1000);
    (void)printf("%-34s %8s %9.3f %9.3f %9.3f %9.3f %7.3f\n", what, limit, (double)s.least / 1e3,
                 (double)s.median / 1e3, (double)s.p99 / 1e3, (double)s.most / 1e3,
                 s.median > 0 ? (double)s.p99 / (double)s.median : 0);
    (void)fflush(stdout);
}

struct overshoot {
    const char *words, *what, *number;
    bool of_cpu;
    uint64_t limit_us;
};

static int measure_overshoot(struct limits_run *run, const struct overshoot *row, size_t runs, struct error *err)
{
    struct limits limits = limits_run_easy;
    if (row->of_cpu)
        limits.cpu_us = row->limit_us;
    else
        limits.wall_us = row->limit_us;
    for (size_t i = 0; i < runs; i++) {
        struct run_outcome outcome;
        if (limits_run_program(run, row->what, row->number, &limits, &outcome, err) < 0)
            return -1;
        const struct run_stats *stats = &outcome.stats;
        bool exceeded = row->of_cpu ? stats->cpu_exceeded : stats->wall_exceeded;
        uint64_t used_us = row->of_cpu ? stats->cpu_us : stats->wall_us;
        run_outcome_done(&outcome);
        if (!exceeded || used_us < row->limit_us)
            return error_set(err, ERROR_BUG, 0, "%s did not end at its limit", row->words);
        samples[i] = used_us - row->limit_us;
    }
    print_line(row->words, row->limit_us, spread_of(samples, runs));
    return 0;
}

static int measure_spread(struct limits_run *run, const char *words, const char *rounds, size_t runs, struct error *err)
{
    for (size_t i = 0; i < runs; i++) {
        struct run_outcome outcome;
        if (limits_run_program(run, "work", rounds, &limits_run_easy, &outcome, err) < 0)
            return -1;
        samples[i] = outcome.stats.cpu_us;
        run_outcome_done(&outcome);
    }
    print_line(words, 0, spread_of(samples, runs));
    return 0;
}

static int measure(struct limits_run *run, size_t runs, struct error *err)
{
    static const struct overshoot rows[] = {
        { "wall, asleep", "sleep", NULL, false, 20000 },
        { "wall, asleep", "sleep", NULL, false, 200000 },
        { "wall, stopped", "stop", NULL, false, 20000 },
        { "wall, every signal trapped", "trap", NULL, false, 20000 },
        { "CPU, one thread", "spin", "60000000", true, 20000 },
        { "CPU, one thread", "spin", "60000000", true, 200000 },
        { "CPU, eight threads", "spin-in-threads", "8", true, 200000 },
        { "CPU, a line of short processes", "rabbits", NULL, true, 100000 },
    };
    (void)printf("%-34s %8s %9s %9s %9s %9s %7s\n", "overshoot in ms", "limit", "least", "median", "p99", "most",
                 "p99/med");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (measure_overshoot(run, &rows[i], runs, err) < 0)
            return -1;
    (void)printf("%-34s %8s %9s %9s %9s %9s %7s\n", "CPU time of the same work in ms", "", "least", "median", "p99",
                 "most", "p99/med");
    return measure_spread(run, "little work", "1000000", runs, err) < 0 ||
                   measure_spread(run, "more work", "50000000", runs, err) < 0
               ? -1
               : 0;
}

int main(int argc, char **argv)
{
    struct limits_run run;
    struct error err;
    size_t runs = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    if (geteuid() != 0) {
        (void)printf("skipped: the sandbox needs root\n");
        return 77;
    }
    if (runs == 0 || runs > RUNS_MAX) {
        (void)fprintf(stderr, "usage: bench_limits [RUNS], 1 to %d\n", RUNS_MAX);
        return 2;
    }
    if (limits_run_open(&run, EVALX_LIMITS_PROGRAM, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    int result = measure(&run, runs, &err);
    limits_run_close(&run);
    if (result < 0)
        (void)fprintf(stderr, "%s\n", err.text);
    return result < 0 ? 1 : 0;
}
