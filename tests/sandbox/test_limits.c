/*
 * Limits are exact: the figures agree with those of the program itself and of the kernel, and a run that exceeds a
 * limit ends there.  The overshoot over many runs is printed.  Only a generous bound of it is asserted, because the
 * machine may be busy.  Needs root; skipped (77) otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "limits_run.h"

#define MIB (1u << 20)
#define OVERSHOOT_RUNS 30
#define OVERSHOOT_US_MAX 500000u /* of the median, on a busy machine */

static struct limits_run all;

static struct run_outcome run(const char *what, const char *number, const struct limits *limits)
{
    struct run_outcome outcome;
    struct error err;
    if (limits_run_program(&all, what, number, limits, &outcome, &err) < 0)
        fail_msg("%s: %s", what, err.text);
    return outcome;
}

static uint64_t number_of(const struct run_outcome *outcome)
{
    assert_non_null(outcome->output.at);
    return strtoull(outcome->output.at, NULL, 10);
}

static void cpu_time_agrees_with_the_programs_own(void **state)
{
    (void)state;
    static const char *const spins_us[] = { "5000", "40000", "150000" };
    for (size_t i = 0; i < sizeof spins_us / sizeof *spins_us; i++) {
        struct run_outcome o = run("cpu", spins_us[i], &limits_run_easy);
        uint64_t own = number_of(&o), spun = 4 * strtoull(spins_us[i], NULL, 10);
        print_message("  spun %" PRIu64 " us, rusage %" PRIu64 ", facts %" PRIu64 "\n", spun, own, o.stats.cpu_us);
        assert_int_equal(o.stats.exit_code, 0);
        assert_true(own >= spun);
        /* The stats include what happens before main and after the program read its clock. */
        assert_true(o.stats.cpu_us + 1000 >= own);
        assert_true(o.stats.cpu_us <= own + own / 20 + 30000);
        run_outcome_done(&o);
    }
}

static void peak_memory_agrees_with_the_kernels_figure(void **state)
{
    (void)state;
    static const uint32_t sizes_mib[] = { 1, 16, 64, 200 };
    for (size_t i = 0; i < sizeof sizes_mib / sizeof *sizes_mib; i++) {
        char bytes[24];
        (void)snprintf(bytes, sizeof bytes, "%u", sizes_mib[i] * MIB);
        struct run_outcome o = run("memory", bytes, &limits_run_easy);
        uint64_t own = number_of(&o);
        print_message("  %u MiB: RssAnon %" PRIu64 ", peak %" PRIu64 "\n", sizes_mib[i], own, o.stats.memory_bytes);
        assert_int_equal(o.stats.exit_code, 0);
        assert_true(own >= (uint64_t)sizes_mib[i] * MIB);
        assert_true(o.stats.memory_bytes + 64 * 4096 >= own); /* the controller charges in batches of 64 pages */
        assert_true(o.stats.memory_bytes <= own + own / 50 + 6 * MIB); /* page tables, the program's file, the box */
        run_outcome_done(&o);
    }
    struct run_outcome o = run("memory-of-children", "67108864", &limits_run_easy);
    assert_int_equal(o.stats.exit_code, 0);
    assert_true(o.stats.memory_bytes >= 64 * MIB && o.stats.memory_bytes < 80 * MIB);
    run_outcome_done(&o);
    o = run("file", "33554432", &limits_run_easy); /* the files of a box are in memory */
    assert_int_equal(o.stats.exit_code, 0);
    assert_true(o.stats.memory_bytes >= 32 * MIB && o.stats.memory_bytes < 48 * MIB);
    run_outcome_done(&o);
}

static void memory_ends_at_its_limit(void **state)
{
    (void)state;
    struct limits l = limits_run_easy;
    l.memory_bytes = 64 * MIB;
    struct run_outcome o = run("memory", "50331648", &l);
    assert_int_equal(o.stats.exit_code, 0);
    assert_int_equal(o.stats.oom_kills, 0);
    run_outcome_done(&o);
    static const char *const ways[] = { "memory", "memory-of-children", "file" };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        l.file_bytes = l.disk_bytes = 256 * MIB;
        o = run(ways[i], "100663296", &l);
        assert_true(o.stats.oom_kills > 0);
        assert_true(o.stats.memory_bytes <= 64 * MIB);
        run_outcome_done(&o);
    }
}

/* ---- the limits of the cgroup, read on the host while a program sleeps ---- */

static bool is_the_program(pid_t process)
{
    char path[64], command[64] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/cmdline", (int)process);
    FILE *words = fopen(path, "re");
    if (words != NULL) {
        (void)!fread(command, 1, sizeof command - 1, words);
        (void)fclose(words);
    }
    return strncmp(command, "/box/", 5) == 0;
}

/* Finds the program among the descendants, so many generations down.  0: none. */
static pid_t program_below(pid_t parent, int depth)
{
    char path[64];
    pid_t found = 0;
    int child = 0;
    if (depth == 0)
        return is_the_program(parent) ? parent : 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *list = fopen(path, "re");
    while (list != NULL && found == 0 && fscanf(list, "%d", &child) == 1)
        found = program_below(child, depth - 1);
    if (list != NULL)
        (void)fclose(list);
    return found;
}

/* We, supervisor, launcher, slot, init, program.  A standby box, or one that is ending, has no program. */
static pid_t running_program(void)
{
    for (int waited = 0; waited < 200; waited++) {
        pid_t found = program_below(getpid(), 5);
        if (found > 0)
            return found;
        (void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
    return 0;
}

static bool is_v2(void)
{
    return strcmp(sandbox_cgroup(all.sandbox), "v2") == 0;
}

/* The folder of the process's memory cgroup. */
static bool memory_group(pid_t process, char folder[600])
{
    char path[64], line[512];
    bool found = false;
    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", (int)process);
    FILE *groups = fopen(path, "re");
    while (groups != NULL && !found && fgets(line, sizeof line, groups) != NULL) {
        const char *group = strstr(line, is_v2() ? "::/" : ":memory:/");
        if (group == NULL)
            continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(folder, 600, "/sys/fs/cgroup%s%s", is_v2() ? "" : "/memory", strchr(group, '/'));
        found = true;
    }
    if (groups != NULL)
        (void)fclose(groups);
    return found;
}

static bool read_knob(const char *folder, const char *knob, uint64_t *ret)
{
    char path[700], text[64] = "";
    (void)snprintf(path, sizeof path, "%s/%s", folder, knob);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool got = fgets(text, sizeof text, file) != NULL;
    (void)fclose(file);
    *ret = strtoull(text, NULL, 10);
    return got;
}

static void *sleep_in_a_box(void *limits)
{
    struct run_outcome outcome;
    struct error err;
    if (limits_run_program(&all, "sleep", NULL, limits, &outcome, &err) == 0)
        run_outcome_done(&outcome);
    return NULL;
}

static void the_cgroup_limits_memory_and_swap(void **state)
{
    (void)state;
    struct limits l = limits_run_easy;
    l.memory_bytes = 48 * MIB;
    l.wall_us = 20000000;
    pthread_t thread;
    char folder[600];
    uint64_t memory = 0, swap = 0;
    assert_int_equal(pthread_create(&thread, NULL, sleep_in_a_box, &l), 0);
    pid_t program = running_program();
    (void)nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL); /* v1: the process joins its group itself */
    bool found = program > 0 && memory_group(program, folder);
    bool has_memory = found && read_knob(folder, is_v2() ? "memory.max" : "memory.limit_in_bytes", &memory);
    bool has_swap = found && read_knob(folder, is_v2() ? "memory.swap.max" : "memory.memsw.limit_in_bytes", &swap);
    bool has_swappiness = found && !has_swap && !is_v2() && read_knob(folder, "memory.swappiness", &swap);
    sandbox_cancel(all.slot);
    (void)pthread_join(thread, NULL);
    assert_true(found && has_memory);
    assert_in_range(memory, 46 * MIB, 48 * MIB - 4096); /* lowered by the program's file */
    if (has_swap)                                       /* v1 limits memory and swap together */
        assert_int_equal(swap, is_v2() ? 0 : memory);
    else if (has_swappiness)
        assert_int_equal(swap, 0);
    else
        print_message("  this kernel accounts no swap: there is no knob to look at\n");
}

/* ---- files, stack, processes ---- */

static void files_end_at_their_limits(void **state)
{
    (void)state;
    struct limits l = limits_run_easy;
    l.file_bytes = MIB;
    struct run_outcome o = run("file", "1048576", &l);
    assert_int_equal(o.stats.exit_code, 0);
    run_outcome_done(&o);
    o = run("file", "1048577", &l);
    assert_int_equal(o.stats.signal, SIGXFSZ);
    run_outcome_done(&o);
    l = limits_run_easy;
    l.disk_bytes = 8 * MIB;
    o = run("file", "6291456", &l);
    assert_int_equal(o.stats.exit_code, 0);
    run_outcome_done(&o);
    o = run("file", "9437184", &l);
    assert_int_equal(o.stats.exit_code, ENOSPC);
    run_outcome_done(&o);

    o = run("inodes", NULL, &limits_run_easy);
    print_message("  files: %s", o.output.at);
    assert_in_range(number_of(&o), 16000, 16384);
    assert_non_null(strstr(o.output.at, "ENOSPC"));
    run_outcome_done(&o);

    static const uint32_t open_files[] = { 64, 100, 1024 };
    for (size_t i = 0; i < sizeof open_files / sizeof *open_files; i++) {
        l = limits_run_easy;
        l.open_files = open_files[i];
        o = run("open-files", NULL, &l);
        assert_int_equal(number_of(&o), open_files[i]);
        assert_non_null(strstr(o.output.at, "EMFILE"));
        run_outcome_done(&o);
    }
}

static void the_stack_ends_at_its_limit(void **state)
{
    (void)state;
    static const uint32_t stacks_mib[] = { 1, 8, 64 };
    for (size_t i = 0; i < sizeof stacks_mib / sizeof *stacks_mib; i++) {
        struct limits l = limits_run_easy;
        char inside[24], beyond[24];
        l.stack_bytes = (uint64_t)stacks_mib[i] * MIB;
        (void)snprintf(inside, sizeof inside, "%u", stacks_mib[i] * MIB / 10 * 8);
        (void)snprintf(beyond, sizeof beyond, "%u", stacks_mib[i] * MIB / 10 * 11);
        struct run_outcome o = run("stack", inside, &l);
        assert_int_equal(o.stats.signal, 0);
        run_outcome_done(&o);
        o = run("stack", beyond, &l);
        assert_int_equal(o.stats.signal, SIGSEGV);
        run_outcome_done(&o);
    }
}

static void threads_count_as_processes(void **state)
{
    (void)state;
    struct run_outcome o = run("threads", "1000", &limits_run_easy);
    assert_string_equal(o.output.at, "1000\n");
    assert_int_equal(o.stats.processes_denied, 0);
    run_outcome_done(&o);
    struct limits l = limits_run_easy;
    l.processes = 100;
    o = run("threads", "1000", &l);
    assert_string_equal(o.output.at, "100\n");
    assert_true(o.stats.processes_denied > 0);
    run_outcome_done(&o);
}

/* ---- time ---- */

static void print_overshoot(const char *what, uint64_t samples[], size_t len)
{
    struct spread s = spread_of(samples, len);
    print_message("  %s ends after its limit by: median %" PRIu64 " us, most %" PRIu64 " us (%zu runs)\n", what,
                  s.median, s.most, len);
    assert_true(s.median < OVERSHOOT_US_MAX);
}

static void wall_time_ends_at_its_limit(void **state)
{
    (void)state;
    static const char *const ways[] = { "sleep", "stop", "trap" };
    struct limits l = limits_run_easy;
    l.wall_us = 50000;
    uint64_t over[OVERSHOOT_RUNS];
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        for (size_t i = 0; i < OVERSHOOT_RUNS; i++) {
            struct run_outcome o = run(ways[way], NULL, &l);
            assert_true(o.stats.wall_exceeded && !o.stats.cpu_exceeded);
            assert_int_equal(o.stats.signal, SIGKILL);
            assert_true(o.stats.wall_us >= l.wall_us); /* a program gets all of its time */
            over[i] = o.stats.wall_us - l.wall_us;
            run_outcome_done(&o);
        }
        print_overshoot(ways[way], over, OVERSHOOT_RUNS);
    }
}

static void cpu_time_ends_at_its_limit(void **state)
{
    (void)state;
    static const char *const ways[][2] = { { "spin", "60000000" }, { "spin-in-threads", "8" }, { "rabbits", NULL } };
    struct limits l = limits_run_easy;
    l.cpu_us = 50000;
    uint64_t over[OVERSHOOT_RUNS];
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        for (size_t i = 0; i < OVERSHOOT_RUNS; i++) {
            struct run_outcome o = run(ways[way][0], ways[way][1], &l);
            assert_true(o.stats.cpu_exceeded && !o.stats.wall_exceeded);
            assert_true(o.stats.cpu_us >= l.cpu_us);
            over[i] = o.stats.cpu_us - l.cpu_us;
            run_outcome_done(&o);
        }
        print_overshoot(ways[way][0], over, OVERSHOOT_RUNS);
    }
}

/* The limit is far below the time to make a box, but counts only from the program's start. */
static void the_clock_is_off_while_the_box_is_made(void **state)
{
    (void)state;
    struct limits l = limits_run_easy;
    l.wall_us = 3000000;
    struct run_outcome o = run("spin", "1000", &l);
    assert_int_equal(o.stats.exit_code, 0);
    assert_true(o.stats.wall_us >= 1000 && o.stats.wall_us < 2000000);
    run_outcome_done(&o);
    l.wall_us = 1000;
    o = run("sleep", NULL, &l);
    assert_true(o.stats.wall_exceeded);
    assert_true(o.stats.wall_us >= 1000);
    run_outcome_done(&o);
}

static void a_chain_of_forks_ends_with_the_run(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct run_outcome o = run("daemon", NULL, &limits_run_easy);
        assert_int_equal(o.stats.exit_code, 0);
        assert_int_equal(o.stats.signal, 0);
        assert_false(o.stats.cpu_exceeded || o.stats.wall_exceeded);
        assert_true(o.stats.wall_us < 2000000);
        run_outcome_done(&o);
    }
}

static int start(void **state)
{
    (void)state;
    struct error err;
    if (limits_run_open(&all, EVALX_LIMITS_PROGRAM, &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    limits_run_close(&all);
    return 0;
}

int main(void)
{
    if (geteuid() != 0) {
        print_message("skipped: the sandbox needs root\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_time_agrees_with_the_programs_own),
        cmocka_unit_test(peak_memory_agrees_with_the_kernels_figure),
        cmocka_unit_test(memory_ends_at_its_limit),
        cmocka_unit_test(the_cgroup_limits_memory_and_swap),
        cmocka_unit_test(files_end_at_their_limits),
        cmocka_unit_test(the_stack_ends_at_its_limit),
        cmocka_unit_test(threads_count_as_processes),
        cmocka_unit_test(wall_time_ends_at_its_limit),
        cmocka_unit_test(cpu_time_ends_at_its_limit),
        cmocka_unit_test(the_clock_is_off_while_the_box_is_made),
        cmocka_unit_test(a_chain_of_forks_ends_with_the_run),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
