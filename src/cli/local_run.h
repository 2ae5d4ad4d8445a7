/*
 * local: one box on this machine, for commands that run something here and now, without a store or threads.
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

/* As root: starts the sandbox with the images of all languages that are here, gives root up, opens the box. */
int local_run_open(const struct config *config, const struct languages *languages, struct local_run *ret,
                   struct error *err);
void local_run_close(struct local_run *local_run);

/* One test of a submission, compiled first.  The caller ends *ret with local_result_done. */
struct local_result {
    struct compiled compiled;
    struct run_outcome outcome;
    bool has_outcome;
    struct result result;
};
int local_run_test(struct local_run *local_run, const struct submission *submission, struct local_result *ret,
                   struct error *err);
void local_result_done(struct local_result *result);

/* The same test again, from what was compiled for it; *ret_us is the time from the order to the answer, box and all. */
int local_run_again(struct local_run *local_run, const struct submission *submission, const struct local_result *first,
                    uint64_t *ret_us, enum verdict *ret_verdict, struct error *err);

/* The language's hello test; 0 if it printed what it should, else *err says what it did instead. */
int local_run_hello(struct local_run *local_run, const struct config *config, const struct languages *languages,
                    const struct language *language, uint64_t *ret_us, struct error *err);
