/*
 * Interpreters that are started before the request (sandboxd/prestart.h): they are used, and a program cannot tell the
 * difference, except by the clock.  Each program runs three times: at the third its slot has prestarted an interpreter.
 */
#include "sandbox_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model/submission.h"
#include "sandbox/archive.h"

#define ROUNDS 3

static bool may_prestart = true;
static enum run_network network = RUN_NETWORK_NONE;

static const char *const python[] = { "/usr/bin/python3", "-s", "main.py", NULL };
static const char *const php[] = { "/usr/bin/php", "-d", "display_errors=stderr", "main.php", NULL };

/* The last word of argv is the source's name. */
static struct run_outcome run_source(const char *source, struct text input, const struct limits *limits,
                                     const char *const argv[])
{
    struct error err;
    size_t last = 0;
    while (argv[last + 1] != NULL)
        last++;
    struct file file = { .name = text_of(argv[last]), .content = text_of(source) };
    struct run_request job = shell_job(argv);
    if (archive_of_files(&file, 1, &job.archive_fd, &err) < 0)
        fail_msg("%s", err.text);
    job.prestart_source = may_prestart ? argv[last] : NULL;
    job.input = input;
    job.network = network;
    if (limits != NULL)
        job.limits = *limits;
    struct run_outcome outcome = run_job(&job);
    (void)close(job.archive_fd);
    return outcome;
}

/* Runs it until its interpreter has been prestarted.  Returns the last outcome. */
static struct run_outcome run_prestarted_by(const char *const argv[], const char *source, struct text input,
                                            const struct limits *limits)
{
    struct run_outcome outcome;
    for (int i = 0; i < ROUNDS; i++) {
        outcome = run_source(source, input, limits, argv);
        if (i + 1 < ROUNDS)
            run_outcome_done(&outcome);
        pause_ms(200);
    }
    assert_true(outcome.was_prestarted);
    return outcome;
}

static struct run_outcome run_prestarted(const char *source, struct text input, const struct limits *limits)
{
    return run_prestarted_by(python, source, input, limits);
}

/* A cold and a prestarted run have the same output. */
static void expect_same_by(const char *const argv[], const char *source, struct text input)
{
    may_prestart = false;
    struct run_outcome cold = run_source(source, input, NULL, argv);
    may_prestart = true;
    struct run_outcome prestarted = run_prestarted_by(argv, source, input, NULL);
    assert_false(cold.was_prestarted);
    assert_int_equal(prestarted.stats.exit_code, cold.stats.exit_code);
    if (prestarted.output.len != cold.output.len)
        print_message("  cold: %.*s\n  prestarted: %.*s\n", (int)cold.output.len, cold.output.at,
                      (int)prestarted.output.len, prestarted.output.at);
    assert_int_equal(prestarted.output.len, cold.output.len);
    assert_memory_equal(prestarted.output.at != NULL ? prestarted.output.at : "",
                        cold.output.at != NULL ? cold.output.at : "", cold.output.len);
    assert_int_equal(prestarted.errors.len, cold.errors.len);
    if (cold.errors.len > 0)
        assert_memory_equal(prestarted.errors.at, cold.errors.at, cold.errors.len);
    run_outcome_done(&cold);
    run_outcome_done(&prestarted);
}

static void expect_same(const char *source, struct text input)
{
    expect_same_by(python, source, input);
}

static void a_prestarted_program_behaves_like_a_cold_one(void **state)
{
    (void)state;
    needs_native("isolate starts each program when it is asked to");
    expect_same(
        "import os, sys, stat\n"
        "print(sys.argv, __file__, sys.path[0], os.getcwd(), sorted(os.listdir('.')), os.environ)\n"
        "print(stat.filemode(os.stat(__file__).st_mode), open(__file__).read())\n"
        "print(sorted(os.listdir('/proc/self/fd')), os.getpid(), os.getppid(), os.getsid(0), os.getuid())\n"
        "print([oct(os.fstat(i).st_mode) for i in range(3)], sys.modules.keys(), os.listdir('/tmp'))\n"
        "print([m.split()[4] for m in open('/proc/self/mountinfo')])\n"
        "import resource\n"
        "print([resource.getrlimit(getattr(resource, n)) for n in sorted(dir(resource)) if n[:7] == 'RLIMIT_'])\n",
        TEXT(""));
    expect_same("import sys\nprint(sys.stdin.read().upper(), sys.stdin.isatty(), sys.stdin.seekable())\n",
                TEXT("what comes in\n"));
    expect_same("import sys\nsys.stderr.write('to stderr')\nsys.exit(3)\n", TEXT(""));
    expect_same("def f():\n    return 1 / 0\nf()\n", TEXT(""));
    expect_same("print('not closed'\n", TEXT(""));
    expect_same("", TEXT(""));
    expect_same("import os\nprint(open('/dev/stdin').read(), file=open('/dev/stdout', 'w'))\n", TEXT("again"));
}

/* Each run has a new network, even if its interpreter was prestarted, and no run has that of another. */
static void a_prestarted_program_has_the_network_it_asked_for(void **state)
{
    (void)state;
    needs_native("with isolate every run has a loopback network");
    static const char source[] = "import socket\n"
                                 "try:\n"
                                 "  here = socket.create_server(('127.0.0.1', 4711), reuse_port=False)\n"
                                 "  there = socket.create_connection(here.getsockname())\n"
                                 "  here.accept()[0].close()\n"
                                 "  print(here.getsockname())\n"
                                 "except OSError as e: print('none', e.errno)\n";
    network = RUN_NETWORK_LOOPBACK;
    struct run_outcome own = run_prestarted(source, TEXT(""), NULL);
    assert_string_equal(own.output.at, "('127.0.0.1', 4711)\n");
    run_outcome_done(&own);
    network = RUN_NETWORK_NONE;
    struct run_outcome none = run_source(source, TEXT(""), NULL, python);
    assert_false(none.was_prestarted);
    assert_memory_equal(none.output.at, "none", 4);
    run_outcome_done(&none);
    none = run_prestarted(source, TEXT(""), NULL);
    assert_memory_equal(none.output.at, "none", 4);
    run_outcome_done(&none);
    network = RUN_NETWORK_LOOPBACK;
    own = run_source(source, TEXT(""), NULL, python);
    assert_false(own.was_prestarted);
    assert_string_equal(own.output.at, "('127.0.0.1', 4711)\n");
    run_outcome_done(&own);
    network = RUN_NETWORK_NONE;
}

static void a_prestarted_php_program_behaves_like_a_cold_one(void **state)
{
    (void)state;
    needs_native("isolate starts each program when it is asked to");
    if (access(php[0], X_OK) < 0) {
        print_message("no php on this machine: not compared\n");
        skip();
    }
    static const char *const sources[] = {
        /* in parentheses: clang warns about a missing comma between two strings */
        ("<?php echo __FILE__, file_get_contents(__FILE__), filesize(__FILE__), implode(',', get_included_files());\n"
         "echo getcwd(), implode(',', scandir('.')), implode(',', scandir('/proc/self/fd')), implode(',', $argv);\n"),
        "<?php echo strtoupper(fgets(STDIN)), php_sapi_name(), ini_get('memory_limit'), getmypid();\n",
        "before <?= 1 + 1 ?> after\n",
        "#!/usr/bin/php\n<?php declare(strict_types=1); echo 2;\n",
        "<?php function (\n",
        "<?php throw new Exception('x');\n",
        "<?php fwrite(STDERR, 'to stderr'); exit(3);\n",
        "<?php highlight_file(__FILE__); echo (include __FILE__ === 'x' ? 'y' : 'missing.php') === false;\n",
        "",
    };
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        expect_same_by(php, sources[i], TEXT("what comes in\n"));
}

static void long_inputs_and_sources_arrive_whole(void **state)
{
    (void)state;
    needs_native("isolate starts each program when it is asked to");
    static char input[3 << 20], source[50 << 10];
    memset(input, 'x', sizeof input);
    struct run_outcome o =
        run_prestarted("import sys\nprint(len(sys.stdin.buffer.read()))\n", (struct text){ input, sizeof input }, NULL);
    assert_string_equal(o.output.at, "3145728\n");
    run_outcome_done(&o);
    memset(source, '#', sizeof source);
    (void)snprintf(source + sizeof source - 32, 32, "\nprint('the end')\n");
    o = run_prestarted(source, TEXT(""), NULL);
    assert_string_equal(o.output.at, "the end\n");
    run_outcome_done(&o);
}

static void every_run_has_its_own_randomness(void **state)
{
    (void)state;
    needs_native("isolate starts each program when it is asked to");
    static const char *const source = "import random\nprint(hash('a'), id(object()), random.random())\n";
    struct run_outcome one = run_prestarted(source, TEXT(""), NULL), two = run_prestarted(source, TEXT(""), NULL);
    assert_string_not_equal(one.output.at, two.output.at);
    long long first = strtoll(one.output.at, NULL, 10), second = strtoll(two.output.at, NULL, 10);
    assert_true(first != second); /* the hash seed */
    run_outcome_done(&one);
    run_outcome_done(&two);
}

static void limits_hold(void **state)
{
    (void)state;
    needs_native("isolate starts each program when it is asked to");
    struct limits l = easy;
    l.cpu_us = 200000;
    struct run_outcome o = run_prestarted("while True:\n    pass\n", TEXT(""), &l);
    assert_true(o.stats.cpu_exceeded);
    assert_in_range(o.stats.cpu_us, 200000, 2000000);
    run_outcome_done(&o);
    l = easy;
    l.wall_us = 300000;
    o = run_prestarted("import time\ntime.sleep(60)\n", TEXT(""), &l);
    assert_true(o.stats.wall_exceeded);
    run_outcome_done(&o);
    l = easy;
    l.memory_bytes = 32 << 20;
    o = run_prestarted("x = bytearray(100 << 20)\n", TEXT(""), &l);
    assert_true(o.stats.oom_kills > 0);
    run_outcome_done(&o);
    l = easy;
    l.output_bytes = 1000;
    o = run_prestarted("while True:\n    print('flood')\n", TEXT(""), &l);
    assert_true(o.stats.output_exceeded && o.output_cut);
    assert_int_equal(o.output.len, 1000);
    run_outcome_done(&o);
    o = run_prestarted("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", TEXT(""), NULL);
    assert_int_equal(o.stats.signal, SIGSEGV);
    run_outcome_done(&o);
}

/* The CPU time of the interpreter's start is not counted.  Its memory is, as in a cold run. */
static void the_figures_are_those_of_the_program(void **state)
{
    (void)state;
    needs_native("isolate starts each program when it is asked to");
    const char *const other[] = { "/usr/bin/python3", "main.py", NULL };
    struct run_outcome cold = run_source("pass\n", TEXT(""), NULL, other),
                       prestarted = run_prestarted("pass\n", TEXT(""), NULL);
    print_message("  cold %llu us of CPU time, %llu KiB; prestarted %llu us, %llu KiB\n",
                  (unsigned long long)cold.stats.cpu_us, (unsigned long long)cold.stats.memory_bytes >> 10,
                  (unsigned long long)prestarted.stats.cpu_us, (unsigned long long)prestarted.stats.memory_bytes >> 10);
    assert_true(prestarted.stats.cpu_us < cold.stats.cpu_us);
    assert_in_range(prestarted.stats.memory_bytes, cold.stats.memory_bytes / 2, cold.stats.memory_bytes * 2);
    run_outcome_done(&cold);
    run_outcome_done(&prestarted);
}

/* A prestarted interpreter serves one kind of request.  Another finds no trace of it, and its peak is its own. */
static void another_request_gets_a_new_box(void **state)
{
    (void)state;
    needs_native("isolate starts each program when it is asked to");
    struct run_outcome o = run_prestarted("print('again')\n", TEXT(""), NULL);
    run_outcome_done(&o);
    pause_ms(50);
    o = run_shell_with("ls -A /box /tmp; echo /proc/[0-9]*", NULL);
    assert_false(o.was_prestarted);
    assert_string_equal(o.output.at, "/box:\n\n/tmp:\n/proc/2\n");
    assert_true(o.stats.memory_bytes < 6 << 20);
    run_outcome_done(&o);
}

static void an_interpreter_that_exits_early_is_reported_like_a_program(void **state)
{
    (void)state;
    needs_native("isolate starts each program when it is asked to");
    static const char *const argv[] = { "/usr/bin/python3", "-Z", "main.py", NULL }; /* no such option */
    for (int i = 0; i < ROUNDS + 1; i++) {
        struct run_outcome o = run_source("print(1)\n", TEXT(""), NULL, argv);
        assert_int_equal(o.stats.exit_code, 2);
        assert_non_null(strstr(o.errors.at, "-Z"));
        run_outcome_done(&o);
        pause_ms(50);
    }
}

static void *cancel_soon(void *ignored)
{
    (void)ignored;
    pause_ms(200);
    sandbox_cancel(slot);
    return NULL;
}

static void a_prestarted_run_can_be_cancelled(void **state)
{
    (void)state;
    needs_native("isolate starts each program when it is asked to");
    pthread_t thread;
    struct run_outcome o = run_prestarted("import time\nprint('x')\n", TEXT(""), NULL);
    run_outcome_done(&o);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
    o = run_source("import time\ntime.sleep(60)\n", TEXT(""), NULL, python);
    (void)pthread_join(thread, NULL);
    assert_true(o.was_prestarted && o.stats.cancelled);
    run_outcome_done(&o);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prestarted_program_behaves_like_a_cold_one),
        cmocka_unit_test(a_prestarted_program_has_the_network_it_asked_for),
        cmocka_unit_test(a_prestarted_php_program_behaves_like_a_cold_one),
        cmocka_unit_test(long_inputs_and_sources_arrive_whole),
        cmocka_unit_test(every_run_has_its_own_randomness),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(the_figures_are_those_of_the_program),
        cmocka_unit_test(another_request_gets_a_new_box),
        cmocka_unit_test(an_interpreter_that_exits_early_is_reported_like_a_program),
        cmocka_unit_test(a_prestarted_run_can_be_cancelled),
    };
    return sandbox_fixture_main(argc, argv, tests);
}
