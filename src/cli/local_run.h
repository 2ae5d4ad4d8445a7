/*
 * local_run: one sandbox slot, for commands that run programs in this process, without a store or threads.
 */
#pragma once
#include "model/result.h"
#include "model/submission.h"
#include "sandbox/sandbox.h"
#include "worker/step_compile.h"
#include "worker/step_run.h"

struct local_run {
    struct sandbox *sandbox;
    struct sandbox_slot *slot;
};

/* As root: starts the sandbox, registers the images of all available languages, drops root and opens the slot. */
int local_run_open(const struct config *config, const struct languages *languages, struct local_run *ret,
                   struct error *err);
void local_run_close(struct local_run *local_run);

/* Compiles and runs the first test of a submission.  The caller frees *ret with local_result_done. */
struct local_result {
    struct compiled compiled;
    struct run_outcome outcome;
    bool has_outcome;
    struct result result;
};
int local_run_test(struct local_run *local_run, const struct submission *submission, struct local_result *ret,
                   struct error *err);
void local_result_done(struct local_result *result);

/* Runs the same test again without compiling.  *ret_us is the time from request to result, including the box. */
int local_run_again(struct local_run *local_run, const struct submission *submission, const struct local_result *first,
                    uint64_t *ret_us, enum verdict *ret_verdict, struct error *err);

/* Runs the hello test of the language.  0 if it passes, else *err describes what happened. */
int local_run_hello(struct local_run *local_run, const struct config *config, const struct language *language,
                    uint64_t *ret_us, struct error *err);
