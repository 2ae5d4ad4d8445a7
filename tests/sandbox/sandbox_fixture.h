/*
 * boxes: what the tests of a box share: a sandbox of the driver under test, one box in it, and programs of this host
 * run in the image "host".
 *
 * A test program takes the driver as its argument ("native" is the default).  The same tests hold for each; one that a
 * driver cannot hold names the reason and is skipped there.
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

/* Long enough for what a slot does between two runs. */
void pause_ms(unsigned ms);

/* Runs the group between start and stop of the driver that argv names; gives the exit status, 77 where skipped. */
#define sandbox_fixture_main(argc, argv, tests)                                                                        \
    (sandbox_fixture_skipped((argc), (argv))                                                                           \
         ? 77                                                                                                          \
         : cmocka_run_group_tests((tests), sandbox_fixture_start, sandbox_fixture_stop))
bool sandbox_fixture_skipped(int argc, char **argv);
int sandbox_fixture_start(void **state);
int sandbox_fixture_stop(void **state);

bool is_native(void);
/* Skips the test on other drivers; `why` says what isolate does instead. */
void needs_native(const char *why);
/* And the other way round: what isolate promises where it differs. */
void needs_isolate(void);

/* A job with easy limits and a plain environment. */
struct run_request shell_job(const char *const argv[]);
/* These fail the test where the box breaks.  limits NULL: easy.  The caller ends the outcome. */
struct run_outcome run_job(const struct run_request *job);
struct run_outcome run_shell_with(const char *script, const struct limits *limits);
struct run_outcome run_python(const char *program, const struct limits *limits);
void expect_output(const char *script, const char *expected);
