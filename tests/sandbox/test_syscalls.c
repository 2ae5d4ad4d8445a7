/* Every system call, socket, option, request and command in real boxes, against the table (syscall_program.c). */
#include "sandbox_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandboxd/seccomp_table.h"

static char constants[2 << 20];
static size_t constants_len;

static void walk(uint32_t class, bool loopback)
{
    char who[16];
    (void)snprintf(who, sizeof who, "%#x", 1u << class | FOR_UNPINNED | (loopback ? (unsigned)FOR_LOOPBACK : 0u));
    const char *const argv[] = { "/box/program", who, NULL };
    auto_close int archive = archive_of_program("syscall_program", 0);
    struct run_request job = shell_job(argv);
    job.class = class;
    job.network = loopback ? RUN_NETWORK_LOOPBACK : RUN_NETWORK_NONE;
    job.archive_fd = archive;
    job.input = (struct text){ constants, constants_len };
    struct run_outcome outcome = run_job(&job);
    print_message("class %u, loopback %d: %.*s", class, loopback, (int)outcome.output.len, outcome.output.at);
    assert_int_equal(outcome.stats.signal, 0);
    assert_string_equal(outcome.output.at, "all calls, 0 wrong\n");
    run_outcome_done(&outcome);
}

static void the_box_answers_as_the_table_says(void **state)
{
    (void)state;
    auto_close int fd = open(EVALX_UAPI_CONSTANTS, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t got = read(fd, constants, sizeof constants);
    assert_true(got > 0 && (size_t)got < sizeof constants);
    constants_len = (size_t)got;
    for (uint32_t class = 0; class < RUN_CLASS_COUNT_; class ++)
        walk(class, class == RUN_CLASS_RUNTIME);
    walk(RUN_CLASS_NATIVE, true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_box_answers_as_the_table_says) };
    return sandbox_fixture_main(argc, argv, tests);
}
