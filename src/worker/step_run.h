/*
 * step_run: the run step of one test.  It runs the compiled program in a sandbox slot and judges the outcome.
 */
#pragma once
#include "base/error.h"
#include "model/result.h"
#include "model/submission.h"
#include "sandbox/sandbox.h"
#include "worker/step_compile.h"

struct result_cache;

/*
 * Runs the test, or takes the outcome of an equal run from `results` (NULL: always runs).  The strings of *ret point
 * into *ret_outcome and into the arguments; the caller calls run_outcome_done after it has encoded the result.
 * After ERROR_SANDBOX the step may be tried again.
 */
int step_run(struct sandbox_slot *slot, struct result_cache *results, const struct submission *submission,
             const struct test *test, const struct compiled *compiled, struct run_outcome *ret_outcome,
             struct result *ret, struct error *err);

/* The result of a test whose program did not compile: its stderr is the compiler's output.  Borrows *compiled. */
void step_run_skipped(const struct submission *submission, const struct test *test, const struct compiled *compiled,
                      struct result *ret);
