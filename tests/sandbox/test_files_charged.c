/*
 * What init unpacks is memory of the run: it counts towards the limit and in the figure, also if the exec cache holds
 * it.  Holes stay holes.  The work of unpacking is CPU time of the run.  limits_program is the program.
 */
#include "sandbox_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/archive.h"

#define MIB (UINT64_C(1) << 20)

static void add_head(int fd, const char *name, uint32_t mode, uint64_t size)
{
    const struct archive_entry entry = { .name_len = (uint32_t)strlen(name), .mode = mode, .size = size };
    assert_int_equal(write(fd, &entry, sizeof entry), sizeof entry);
    assert_int_equal(write(fd, name, strlen(name)), strlen(name));
}

static struct run_outcome run_with(int archive, uint64_t memory, const char *what, const char *number)
{
    const char *const argv[] = { "/box/program", what, number, NULL };
    struct run_request job = shell_job(argv);
    job.archive_fd = archive;
    job.limits.memory_bytes = memory;
    job.limits.disk_bytes = job.limits.file_bytes = 256 * MIB;
    return run_job(&job);
}

static void padding_in_an_executable_is_charged(void **state)
{
    (void)state;
    auto_close int archive = archive_of_program("limits_program", 110);
    struct run_outcome o = run_with(archive, 8 * MIB, "touch", "4096");
    assert_true(o.stats.oom_kills > 0);
    assert_true(o.stats.memory_bytes <= 8 * MIB);
    run_outcome_done(&o);
    /* The rest of the limit is the program's, and no more. */
    o = run_with(archive, 128 * MIB, "touch", "8388608");
    assert_int_equal(o.stats.exit_code, 0);
    assert_int_equal(o.stats.oom_kills, 0);
    assert_in_range(o.stats.memory_bytes, 118 * MIB, 128 * MIB);
    run_outcome_done(&o);
    o = run_with(archive, 128 * MIB, "touch", "33554432");
    assert_true(o.stats.oom_kills > 0);
    run_outcome_done(&o);
    expect_output("echo goes on", "goes on\n");
}

static void files_of_a_request_are_charged(void **state)
{
    (void)state;
    static const char content[5000] = "x";
    auto_close int archive = archive_of_program("limits_program", 0);
    for (int i = 0; i < 2000; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "folder/%d/file", i);
        add_head(archive, name, 0644, sizeof content);
        assert_int_equal(write(archive, content, sizeof content), sizeof content);
    }
    /* 8,000 whole pages of 4 KiB would be 31 MiB; the bytes alone are 9.5 MiB. */
    struct run_outcome o = run_with(archive, 16 * MIB, "touch", "4096");
    assert_true(o.stats.oom_kills > 0);
    run_outcome_done(&o);
    o = run_with(archive, 64 * MIB, "touch", "4096");
    assert_int_equal(o.stats.exit_code, 0);
    assert_in_range(o.stats.memory_bytes, 2000 * (8192 + 2048), 64 * MIB);
    run_outcome_done(&o);
}

/* A limit that leaves less than a process needs is a memory limit, wherever the start ends, and no failure of evalx. */
static void too_little_for_a_start_is_a_memory_limit(void **state)
{
    (void)state;
    struct run_outcome o;
    auto_close int archive = archive_of_program("limits_program", 2);
    struct stat st;
    assert_int_equal(fstat(archive, &st), 0);
    for (uint64_t left = 4096; left < 600000; left += 40000) {
        o = run_with(archive, (uint64_t)st.st_size + left, "touch", "4096");
        assert_true(o.stats.oom_kills > 0 || o.stats.exit_code == 0);
        run_outcome_done(&o);
    }
    o = run_with(archive, 64 * MIB, "touch", "4096");
    assert_int_equal(o.stats.exit_code, 0);
    assert_int_equal(o.stats.oom_kills, 0);
    run_outcome_done(&o);
    /* Without files: the smallest limit that a request may have. */
    static const char *const argv[] = { "/usr/bin/true", NULL };
    struct run_request job = shell_job(argv);
    job.limits.memory_bytes = 64 << 10;
    for (int i = 0; i < 4; i++) {
        o = run_job(&job);
        assert_true(o.stats.oom_kills > 0);
        run_outcome_done(&o);
    }
    expect_output("echo goes on", "goes on\n");
}

static void the_exec_cache_changes_no_figure(void **state)
{
    (void)state;
    auto_close int archive = archive_of_program("limits_program", 4);
    uint64_t first = 0;
    for (int i = 0; i < 6; i++) {
        struct run_outcome o = run_with(archive, 64 * MIB, "touch", "4096");
        print_message("  %" PRIu64 " KiB\n", o.stats.memory_bytes >> 10);
        if (i == 0)
            first = o.stats.memory_bytes;
        assert_in_range(o.stats.memory_bytes, first - MIB / 2, first + MIB / 2);
        run_outcome_done(&o);
        o = run_with(archive, 5 * MIB, "touch", "4194304");
        assert_true(o.stats.oom_kills > 0);
        run_outcome_done(&o);
    }
}

static void holes_stay_holes(void **state)
{
    (void)state;
    static const char *const make[] = { "/usr/bin/bash", "-c",
                                        "truncate -s 60M a b c d; printf x | dd of=b bs=1 seek=30000001 conv=notrunc "
                                        "status=none; printf y >> c; truncate -s 8M empty; : > nothing; "
                                        "printf text > short; chmod +x a",
                                        NULL };
    static const char *const look[] = { "/usr/bin/bash", "-c",
                                        "stat -c '%n %s %b' a b c d empty nothing short; tr -d '\\0' < b; "
                                        "tr -d '\\0' < c; cat short; test -x a && tail -c +30000002 b | head -c 1",
                                        NULL };
    struct run_request job = shell_job(make);
    job.keep_files = true;
    job.limits.file_bytes = job.limits.disk_bytes = 256 * MIB;
    job.limits.memory_bytes = 16 * MIB;
    struct run_outcome made = run_job(&job);
    assert_int_equal(made.stats.exit_code, 0);
    struct stat st;
    assert_true(made.archive_fd >= 0 && fstat(made.archive_fd, &st) == 0);
    assert_true(st.st_size < 65536);
    job = shell_job(look);
    job.archive_fd = made.archive_fd;
    job.limits.file_bytes = job.limits.disk_bytes = 256 * MIB;
    job.limits.memory_bytes = 16 * MIB;
    struct run_outcome o = run_job(&job);
    assert_int_equal(o.stats.exit_code, 0);
    assert_string_equal(o.output.at, "a 62914560 0\nb 62914560 8\nc 62914561 8\n"
                                     "d 62914560 0\nempty 8388608 0\nnothing 0 0\n"
                                     "short 4 8\nxytextx");
    run_outcome_done(&o);
    run_outcome_done(&made);
}

/* Files with many holes count by their pages: what is kept must fit into the disk of the runs. */
static void pages_are_counted_when_packing(void **state)
{
    (void)state;
    static const char *const make[] = { "/usr/bin/python3", "-c",
                                        "import os\nfor i in range(4):\n os.symlink('/dev/null', f'l{i}')\n"
                                        "f = os.open('x', os.O_RDWR | os.O_CREAT)\n"
                                        "for i in range(1000): os.pwrite(f, b'x', i * 8192)\n",
                                        NULL };
    struct run_request job = shell_job(make);
    job.keep_files = true;
    struct run_outcome o = run_job(&job);
    struct stat st;
    assert_true(o.archive_fd >= 0 && fstat(o.archive_fd, &st) == 0);
    assert_in_range(st.st_size, 999 * 4096, 1001 * 4200);
    run_outcome_done(&o);
}

static void unpacking_is_cpu_time_of_the_run(void **state)
{
    (void)state;
    auto_close int small = archive_of_program("limits_program", 0), large = archive_of_program("limits_program", 110);
    uint64_t used[2] = { 0, 0 };
    for (int i = 0; i < 5; i++)
        for (int which = 0; which < 2; which++) {
            struct run_outcome o = run_with(which == 0 ? small : large, 256 * MIB, "touch", "4096");
            assert_int_equal(o.stats.exit_code, 0);
            used[which] += o.stats.cpu_us;
            run_outcome_done(&o);
        }
    print_message("  five runs: %" PRIu64 " us, with 110 MiB %" PRIu64 " us\n", used[0], used[1]);
    assert_true(used[1] > 3 * used[0]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padding_in_an_executable_is_charged),
        cmocka_unit_test(files_of_a_request_are_charged),
        cmocka_unit_test(too_little_for_a_start_is_a_memory_limit),
        cmocka_unit_test(the_exec_cache_changes_no_figure),
        cmocka_unit_test(holes_stay_holes),
        cmocka_unit_test(pages_are_counted_when_packing),
        cmocka_unit_test(unpacking_is_cpu_time_of_the_run),
    };
    return sandbox_fixture_main(argc, argv, tests);
}
