/*
 * sandbox_fixture: what the tests of the sandbox share: a sandbox with the backend under test, a slot, and functions to
 * run programs of this host in the image "host".
 *
 * A test program takes the backend as its argument (default "native").  A test that a backend cannot pass is skipped
 * there with the reason.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include "../shared_host.h"
#include "sandbox/sandbox.h"

extern struct sandbox *sandbox;
extern struct sandbox_slot *slot; /* slot 0 */
extern struct limits easy;        /* times multiplied by slowness() */

/* Scaled by the slowness.  Gives a slot time for its work between two runs. */
void pause_ms(unsigned ms);

/* Runs the group with the backend that argv names.  Evaluates to the exit status, 77 if skipped. */
#define sandbox_fixture_main(argc, argv, tests)                                                                        \
    (sandbox_fixture_skipped((argc), (argv))                                                                           \
         ? 77                                                                                                          \
         : cmocka_run_group_tests((tests), sandbox_fixture_start, sandbox_fixture_stop))
bool sandbox_fixture_skipped(int argc, char **argv);
int sandbox_fixture_start(void **state);
int sandbox_fixture_stop(void **state);

bool is_native(void);
/* Skips the test with other backends.  `why` is what isolate does instead. */
void needs_native(const char *why);
/* Skips the test with the native backend. */
void needs_isolate(void);

/* The path of a program that was built into the folder of this one. */
void path_beside(const char *name, char path[4096]);
/* An archive with that program as /box/program, followed by so many MiB of zeros.  The caller closes it. */
int archive_of_program(const char *name, unsigned padding_mib);

/* A request with easy limits and a plain environment. */
struct run_request shell_job(const char *const argv[]);
/* These fail the test if sandbox_run fails.  limits NULL: easy.  The caller calls run_outcome_done. */
struct run_outcome run_job(const struct run_request *job);
struct run_outcome run_shell_with(const char *script, const struct limits *limits);
struct run_outcome run_python(const char *program, const struct limits *limits);
void expect_output(const char *script, const char *expected);
