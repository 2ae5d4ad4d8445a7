/*
 * The self-test at every start: all isolation checks pass in a box, and each one that should fail does.
 * Needs root; skipped (77) otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../shared_host.h"
#include "sandbox/protocol.h"
#include "sandbox/self_test.h"

static struct sandbox *sandbox;

static void all_isolation_checks_pass_in_a_box(void **state)
{
    (void)state;
    struct error err;
    uint64_t took_us = 0;
    for (int round = 0; round < 3; round++) {
        if (self_test_run(sandbox, "host", &took_us, &err) < 0)
            fail_msg("%s", err.text);
        print_message("  %llu us\n", (unsigned long long)took_us);
    }
    assert_true(took_us < 2000000);
}

/* Outside a box, as root, every check must fail.  This shows that the probe can detect each missing layer. */
static void every_isolation_check_fails_outside_a_box(void **state)
{
    (void)state;
    static const char *const checks[] = {
        "user:",        "user namespace:", "capabilities:",          "no_new_privs:",   "seccomp:", "system calls:",
        "descriptors:", "network:",        "processes seen:",        "files of /proc:", "mounts:",  "read-only image:",
        "devices:",     "limits:",         "session and host name:", "process limit:"
    };
    char command[] = "exec 9</dev/null; ulimit -n 4096; " EVALX_LAUNCHER " probe";
    FILE *lines = popen(command, "re");
    assert_non_null(lines);
    char line[400];
    size_t failed = 0;
    while (fgets(line, sizeof line, lines) != NULL) {
        assert_true(failed < sizeof checks / sizeof *checks);
        print_message("  %s", line);
        assert_memory_equal(line, checks[failed], strlen(checks[failed]));
        failed++;
    }
    assert_int_equal(failed, sizeof checks / sizeof *checks);
    assert_int_equal(WEXITSTATUS(pclose(lines)), failed);
}

/* A box with two limits too high: exactly those two checks fail, and evalx would not start. */
static void a_failed_check_in_a_box_is_named(void **state)
{
    (void)state;
    struct error err;
    struct sandbox_slot *slot;
    char *const argv[] = { (char *)(uintptr_t) "probe", NULL }, *const env[] = { NULL };
    const struct run_request job = {
        .image = "host",
        .class = RUN_CLASS_NATIVE,
        .argv = argv,
        .env = env,
        .archive_fd = -1,
        .self_test = true,
        .limits = { .cpu_us = 2000000,
                    .wall_us = 5000000,
                    .memory_bytes = 128 << 20,
                    .stack_bytes = 1 << 20,
                    .output_bytes = 8192,
                    .file_bytes = 1 << 20,
                    .disk_bytes = 1 << 20,
                    .processes = 4 * PROBE_PROCESSES_MAX,
                    .open_files = 2 * PROBE_OPEN_FILES_MAX },
    };
    struct run_outcome outcome;
    assert_int_equal(sandbox_slot_open(sandbox, 0, &slot, &err), 0);
    if (sandbox_run(slot, &job, &outcome, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(self_test_judge(&outcome, sandbox_cgroup(sandbox), &err), -1);
    assert_int_equal(err.kind, ERROR_SETUP);
    assert_string_equal(err.text,
                        "failed isolation checks: limits: 512 open files;process limit: 8 more processes started");
    run_outcome_done(&outcome);
    sandbox_slot_close(slot);
}

static void the_figures_of_the_cgroup_are_checked(void **state)
{
    (void)state;
    static const struct run_stats good = { .cpu_us = 900,
                                           .memory_bytes = PROBE_MEMORY_BYTES + 4096,
                                           .processes_denied = 1 };
    const struct {
        const char *cgroup;
        struct run_stats stats;
        const char *complaint; /* NULL: none */
    } rows[] = {
        { "v1", good, NULL },
        { "v2", good, NULL },
        { "none", { 0 }, NULL },
        { "v1", { .memory_bytes = PROBE_MEMORY_BYTES, .processes_denied = 1 }, "CPU time" },
        { "v1", { .cpu_us = 900, .processes_denied = 1 }, "memory" },
        { "v2", { .cpu_us = 900, .processes_denied = 1 }, NULL }, /* a kernel without memory.peak */
        { "v2", { .cpu_us = 900, .memory_bytes = 4096, .processes_denied = 1 }, "memory" },
        { "v2", { .cpu_us = 900, .memory_bytes = PROBE_MEMORY_BYTES }, "process limit" },
        { "none", { .exit_code = 127 }, "exit code 127" },
        { "v2", { .signal = 31 }, "signal 31" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error err = { 0 };
        const struct run_outcome outcome = { .stats = rows[i].stats };
        int result = self_test_judge(&outcome, rows[i].cgroup, &err);
        print_message("  %zu %s\n", i, err.text);
        assert_int_equal(result, rows[i].complaint == NULL ? 0 : -1);
        if (rows[i].complaint != NULL)
            assert_non_null(strstr(err.text, rows[i].complaint));
    }
}

static int start(void **state)
{
    (void)state;
    struct error err;
    struct sandbox_settings settings = { .images_folder = "/opt/evalx/chroots", .uid_base = free_uids() };
    if (sandbox_start(&settings, &sandbox, &err) < 0 || sandbox_image(sandbox, "host", &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sandbox_stop(sandbox);
    return 0;
}

int main(void)
{
    if (geteuid() != 0) {
        print_message("skipped: the sandbox needs root\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_isolation_checks_pass_in_a_box),
        cmocka_unit_test(every_isolation_check_fails_outside_a_box),
        cmocka_unit_test(a_failed_check_in_a_box_is_named),
        cmocka_unit_test(the_figures_of_the_cgroup_are_checked),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
