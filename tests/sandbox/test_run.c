/*
 * What sandbox_run promises the worker: stats, limits, streams, files, isolation, repair.
 * Runs programs of this host in the image "host".  Needs root; skipped (77) otherwise.
 */
#include "sandbox_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "model/submission.h"
#include "sandbox/archive.h"

static void a_program_runs_and_its_stats_are_reported(void **state)
{
    (void)state;
    struct run_outcome o = run_shell_with("echo out; echo err >&2; exit 3", NULL);
    assert_string_equal(o.output.at, "out\n");
    assert_string_equal(o.errors.at, "err\n");
    assert_int_equal(o.stats.exit_code, 3);
    assert_int_equal(o.stats.signal, 0);
    assert_true(o.stats.wall_us > 0);
    assert_true(o.stats.cpu_us > 0);
    assert_true(o.stats.memory_bytes > 100000 && o.stats.memory_bytes < (64 << 20));
    assert_false(o.stats.cpu_exceeded || o.stats.wall_exceeded || o.stats.output_exceeded || o.stats.cancelled);
    run_outcome_done(&o);
}

static void a_signal_is_reported(void **state)
{
    (void)state;
    static const int signals[] = { SIGSEGV, SIGABRT, SIGFPE, SIGKILL, SIGTERM };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        char script[64];
        (void)snprintf(script, sizeof script, "kill -%d $$", signals[i]);
        struct run_outcome o = run_shell_with(script, NULL);
        assert_int_equal(o.stats.signal, signals[i]);
        run_outcome_done(&o);
    }
}

static void stdin_arrives_byte_for_byte(void **state)
{
    (void)state;
    static char input[300000];
    for (size_t i = 0; i < sizeof input; i++)
        input[i] = (char)(i * 7 + i / 256);
    const char *const argv[] = { "/usr/bin/cat", NULL };
    struct run_request job = shell_job(argv);
    job.input = (struct text){ input, sizeof input };
    struct run_outcome o = run_job(&job);
    assert_int_equal(o.output.len, sizeof input);
    assert_memory_equal(o.output.at, input, sizeof input);
    run_outcome_done(&o);
}

static void output_is_cut_at_its_limit_and_no_byte_before(void **state)
{
    (void)state;
    struct limits l = easy;
    l.output_bytes = 1000;
    struct run_outcome o = run_shell_with("head -c 1000 /dev/zero", &l);
    assert_int_equal(o.output.len, 1000);
    assert_false(o.stats.output_exceeded);
    run_outcome_done(&o);
    o = run_shell_with("head -c 1001 /dev/zero", &l);
    assert_int_equal(o.output.len, 1000);
    assert_true(o.stats.output_exceeded && o.output_cut && !o.errors_cut);
    run_outcome_done(&o);
    o = run_shell_with("yes", &l);
    assert_true(o.stats.output_exceeded);
    run_outcome_done(&o);
    o = run_shell_with("yes >&2", &l);
    assert_true(o.stats.output_exceeded && o.errors_cut);
    run_outcome_done(&o);
}

static void time_limits_end_a_program(void **state)
{
    (void)state;
    struct limits l = easy;
    l.cpu_us = 300000;
    struct run_outcome o = run_shell_with("while :; do :; done", &l);
    assert_true(o.stats.cpu_exceeded);
    assert_true(o.stats.cpu_us >= 300000 && o.stats.cpu_us < 900000);
    run_outcome_done(&o);
    l = easy;
    l.wall_us = 300000;
    static const char *const sleepers[] = { "sleep 20", "trap '' TERM INT HUP; sleep 20", "kill -STOP $$; sleep 20",
                                            "sleep 20 & sleep 20 & wait", "setsid sleep 20 >/dev/null & sleep 20" };
    for (size_t i = 0; i < sizeof sleepers / sizeof *sleepers; i++) {
        o = run_shell_with(sleepers[i], &l);
        assert_true(o.stats.wall_exceeded);
        assert_true(o.stats.wall_us >= 300000 && o.stats.wall_us < slowed(5000000));
        run_outcome_done(&o);
    }
    /* CPU time is the sum over all processes. */
    l = easy;
    l.cpu_us = 400000;
    o = run_shell_with("for i in 1 2 3 4; do (while :; do :; done) & done; wait", &l);
    assert_true(o.stats.cpu_exceeded);
    run_outcome_done(&o);
}

static void memory_is_limited_and_measured(void **state)
{
    (void)state;
    struct limits l = easy;
    l.memory_bytes = 64 << 20;
    struct run_outcome o = run_python("x = bytearray(200 << 20)\nprint(len(x))", &l);
    assert_true(o.stats.oom_kills > 0);
    assert_true(o.stats.memory_bytes <= (64 << 20));
    run_outcome_done(&o);
    o = run_python("x = bytearray(30 << 20)\nprint(len(x))", &l);
    assert_int_equal(o.stats.oom_kills, 0);
    assert_true(o.stats.memory_bytes >= (30 << 20));
    run_outcome_done(&o);
    /* Files on a tmpfs count, too. */
    l.file_bytes = l.disk_bytes = 300 << 20;
    o = run_shell_with("head -c 200m /dev/zero > /dev/shm/x", &l);
    assert_true(o.stats.oom_kills > 0);
    run_outcome_done(&o);
    /* The next run in the same slot starts from zero. */
    o = run_shell_with("true", NULL);
    assert_true(o.stats.memory_bytes < (16 << 20));
    run_outcome_done(&o);
}

static void processes_are_limited_and_none_survives(void **state)
{
    (void)state;
    struct limits l = easy;
    l.processes = 10;
    l.wall_us = slowed(2000000);
    /* isolate fails if there is an orphan in the first millisecond, so the script waits. */
    struct run_outcome o = run_shell_with("sleep 0.1; f() { f | f & }; f; sleep 0.3; exit 0", &l);
    run_outcome_done(&o);
    o = run_shell_with("sleep 0.1; for i in $(seq 30); do sleep 5 & done 2>/dev/null; exit 0", &l);
    assert_true(o.stats.processes_denied > 0);
    run_outcome_done(&o);
    /* A daemon does not survive its run. */
    o = run_shell_with("sleep 0.1; setsid sh -c 'sleep 30; echo late > /box/late' >/dev/null 2>&1 & exit 0", NULL);
    assert_int_equal(o.stats.exit_code, 0);
    assert_true(o.stats.wall_us < slowed(5000000));
    run_outcome_done(&o);
    expect_output("ls /proc > list; grep -c '^[0-9]' list", "2\n"); /* bash and ls; init is not shown */
}

/* A run's figures contain nothing of the previous run, however that ended and whatever its limits were. */
static void each_run_has_its_own_figures(void **state)
{
    (void)state;
    static const char bomb[] = "import os, time\ntime.sleep(0.1)\n"
                               "while True:\n  try: os.fork()\n  except OSError: pass\n";
    struct limits few = easy, one = easy;
    few.processes = 12;
    few.wall_us = slowed(1000000); /* long enough to use some CPU time beside other tests */
    one.processes = 1;
    static const char children[] = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 0.1 & done; wait";
    struct run_outcome o = run_shell_with(children, NULL);
    uint64_t usual_us = o.stats.cpu_us;
    run_outcome_done(&o);
    for (int round = 0; round < 3; round++) {
        o = run_python(bomb, &few);
        assert_true(o.stats.wall_exceeded && o.stats.processes_denied > 0 && o.stats.cpu_us > 0);
        run_outcome_done(&o);
        o = run_shell_with(children, NULL);
        assert_int_equal(o.stats.exit_code, 0);
        assert_int_equal(o.stats.processes_denied, 0);
        assert_true(o.stats.cpu_us < 4 * usual_us);
        run_outcome_done(&o);
        if (!is_native()) /* isolate's own processes are in the group, too */
            continue;
        o = run_shell_with("echo alone", &one);
        assert_int_equal(o.stats.exit_code, 0);
        assert_int_equal(o.stats.processes_denied, 0);
        run_outcome_done(&o);
        o = run_python("import os\nos.fork()\n", &one);
        assert_int_equal(o.stats.processes_denied, 1);
        run_outcome_done(&o);
    }
}

static void disk_and_file_sizes_are_limited(void **state)
{
    (void)state;
    struct limits l = easy;
    l.disk_bytes = 4 << 20;
    expect_output("true", "");
    struct run_outcome o = run_shell_with("head -c 8m /dev/zero > /box/a 2>/dev/null; stat -c %s /box/a", &l);
    assert_true(strtoull(o.output.at, NULL, 10) <= (4u << 20));
    run_outcome_done(&o);
    l = easy;
    l.file_bytes = 1 << 20;
    o = run_shell_with("head -c 2m /dev/zero > /box/a; echo \"$? $(stat -c %s /box/a)\"", &l);
    assert_string_equal(o.output.at, "153 1048576\n"); /* 128 + SIGXFSZ */
    run_outcome_done(&o);
    l = easy;
    l.cpu_us = l.wall_us = 120000000; /* an emulated machine is slow */
    o = run_shell_with("for i in $(seq 20000); do : > /box/$i || break; done 2>/dev/null; ls /box | wc -l", &l);
    assert_false(o.stats.wall_exceeded);
    assert_true(strtoull(o.output.at, NULL, 10) < 17000);
    run_outcome_done(&o);
}

static void files_go_in_and_come_out(void **state)
{
    (void)state;
    const struct file files[] = { { TEXT("main.sh"),
                                    TEXT("cat lib/a.txt > out.txt; cp main.sh keep.sh; chmod +x keep.sh") },
                                  { TEXT("lib/a.txt"), { "a\0b\n", 4 } },
                                  { TEXT("empty"), TEXT("") } };
    struct error err;
    int archive;
    assert_int_equal(archive_of_files(files, 3, &archive, &err), 0);
    const char *const first[] = { "/usr/bin/bash", "-c", ". ./main.sh; ln -s /etc/passwd link; mkfifo pipe", NULL };
    struct run_request job = shell_job(first);
    job.archive_fd = archive;
    job.keep_files = true;
    struct run_outcome o = run_job(&job);
    assert_int_equal(o.stats.exit_code, 0);
    assert_true(o.archive_fd >= 0);

    const char *const second[] = { "/usr/bin/bash", "-c",
                                   "find . -type f | sort | tr '\\n' ' '; stat -c %A keep.sh; od -c out.txt | head -1; "
                                   "find . -type l -o -type p | wc -l",
                                   NULL };
    struct run_request again = shell_job(second);
    again.archive_fd = o.archive_fd;
    struct run_outcome seen = run_job(&again);
    assert_string_equal(seen.output.at, "./empty ./keep.sh ./lib/a.txt ./main.sh ./out.txt -rwxr-xr-x\n"
                                        "0000000   a  \\0   b  \\n\n0\n");
    run_outcome_done(&seen);
    run_outcome_done(&o);
    (void)close(archive);
}

static void what_cannot_be_executed_is_the_programs_fault(void **state)
{
    (void)state;
    const char *const argv[] = { "/box/none", NULL };
    struct run_request job = shell_job(argv);
    struct run_outcome o = run_job(&job);
    assert_int_equal(o.stats.exit_code, 127);
    assert_non_null(strstr(o.errors.at, is_native() ? "cannot execute /box/none" : "execve(\"/box/none\")"));
    run_outcome_done(&o);
}

static void *cancel_soon(void *unused)
{
    (void)unused;
    (void)nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    sandbox_cancel(slot);
    return NULL;
}

static void a_run_can_be_cancelled(void **state)
{
    (void)state;
    sandbox_cancel(slot); /* no run: no effect */
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
    struct run_outcome o = run_shell_with("sleep 8", NULL);
    (void)pthread_join(thread, NULL);
    assert_true(o.stats.cancelled);
    assert_true(o.stats.wall_us < slowed(5000000));
    run_outcome_done(&o);
    expect_output("echo next", "next\n");
}

/* Our child is the supervisor, its child the launcher, whose child is the slot. */
static pid_t first_child_of(pid_t parent)
{
    char path[64];
    int pid = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *list = fopen(path, "re");
    assert_non_null(list);
    if (fscanf(list, "%d", &pid) != 1)
        pid = 0;
    (void)fclose(list);
    return pid;
}

static void expect_recovery(void)
{
    const char *const argv[] = { "/usr/bin/true", NULL };
    struct run_request job = shell_job(argv);
    struct run_outcome o;
    struct error err;
    bool recovered = false;
    for (int tries = 0; tries < 3 && !recovered; tries++) {
        recovered = sandbox_run(slot, &job, &o, &err) == 0;
        if (recovered)
            run_outcome_done(&o);
        else
            print_message("  %s\n", err.text);
    }
    assert_true(recovered);
}

static void a_broken_slot_is_repaired(void **state)
{
    (void)state;
    pid_t slot_number = first_child_of(first_child_of(first_child_of(getpid())));
    assert_true(slot_number > 1);
    assert_int_equal(kill(slot_number, SIGKILL), 0);
    expect_recovery();
}

static void a_dead_launcher_is_replaced(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        pid_t launcher = first_child_of(first_child_of(getpid()));
        assert_true(launcher > 1);
        assert_int_equal(kill(launcher, SIGKILL), 0);
        if (round > 0) /* also after the new one has been running for a while */
            (void)nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
        expect_recovery();
    }
    /* A request on the control socket right after the launcher died: a new slot. */
    struct error err;
    struct sandbox_slot *other;
    assert_int_equal(kill(first_child_of(first_child_of(getpid())), SIGKILL), 0);
    if (sandbox_slot_open(sandbox, 1, &other, &err) < 0)
        fail_msg("box_open: %s", err.text);
    sandbox_slot_close(other);
    expect_recovery();
}

static void many_runs_leave_nothing(void **state)
{
    (void)state;
    uint64_t begun = clock_mono_us();
    const char *const argv[] = { "/usr/bin/true", NULL };
    struct run_request job = shell_job(argv);
    for (int i = 0; i < 300; i++) {
        struct run_outcome o = run_job(&job);
        assert_int_equal(o.stats.exit_code, 0);
        run_outcome_done(&o);
    }
    print_message("  300 runs of true: %llu us each\n", (unsigned long long)(clock_mono_us() - begun) / 300);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_runs_and_its_stats_are_reported),
        cmocka_unit_test(a_signal_is_reported),
        cmocka_unit_test(stdin_arrives_byte_for_byte),
        cmocka_unit_test(output_is_cut_at_its_limit_and_no_byte_before),
        cmocka_unit_test(time_limits_end_a_program),
        cmocka_unit_test(memory_is_limited_and_measured),
        cmocka_unit_test(processes_are_limited_and_none_survives),
        cmocka_unit_test(each_run_has_its_own_figures),
        cmocka_unit_test(disk_and_file_sizes_are_limited),
        cmocka_unit_test(files_go_in_and_come_out),
        cmocka_unit_test(what_cannot_be_executed_is_the_programs_fault),
        cmocka_unit_test(a_run_can_be_cancelled),
        cmocka_unit_test(a_broken_slot_is_repaired),
        cmocka_unit_test(a_dead_launcher_is_replaced),
        cmocka_unit_test(many_runs_leave_nothing),
    };
    return sandbox_fixture_main(argc, argv, tests);
}
