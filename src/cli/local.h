/*
 * local: one box on this machine, for commands that run something here and now, without a store or threads.
 */
#pragma once
#include "job/result.h"
#include "job/submission.h"
#include "sandbox/sandbox.h"
#include "worker/runner.h"

struct local {
    struct sandbox *sandbox;
    struct box *box;
};

/* As root: starts the sandbox with the images of all languages that are here, gives root up, opens the box. */
int local_open(const struct config *config, const struct languages *languages, struct local *ret, struct error *err);
void local_close(struct local *local);

/* One test of a submission, compiled first.  The caller ends *ret with local_result_done. */
struct local_result {
    struct compiled compiled;
    struct box_outcome outcome;
    bool has_outcome;
    struct result result;
};
int local_run(struct local *local, const struct submission *submission, struct local_result *ret, struct error *err);
void local_result_done(struct local_result *result);

/* The same test again, from what was compiled for it; *ret_us is the time from the order to the answer, box and all. */
int local_again(struct local *local, const struct submission *submission, const struct local_result *first,
                uint64_t *ret_us, enum verdict *ret_verdict, struct error *err);

/* The language's hello test; 0 if it printed what it should, else *err says what it did instead. */
int local_hello(struct local *local, const struct config *config, const struct languages *languages,
                const struct language *language, uint64_t *ret_us, struct error *err);
