/*
 * runner: one step of a submission in a box: compile a program, or run a test.  Knows no store and no threads.
 */
#pragma once
#include "model/result.h"
#include "model/submission.h"
#include "sandbox/sandbox.h"

#define RUNNER_COMPILE_TEXT_MAX (64u << 10)

struct compiled {
    bool ok;
    bool cached;
    int archive_fd; /* what a run starts from: sources, or the compiler's products; -1 if !ok */
    uint64_t compile_us;
    struct stats stats;   /* of the compile step */
    enum verdict verdict; /* ACCEPTED if ok; else COMPILE_ERROR, INTERNAL_ERROR, or CANCELLED (sandbox_cancel) */
    struct buf output;    /* what the compiler printed: its errors, then its output; RUNNER_COMPILE_TEXT_MAX at most */
    bool output_cut;
    char message[160]; /* why there is no artifact where the compiler's text does not say it, or "" */
};
/* Nothing compiled yet: what compiled_done accepts. */
void compiled_init(struct compiled *compiled);
void compiled_done(struct compiled *compiled);

struct artifact_cache;
struct result_cache;

/*
 * Looks in the cache, compiles on a miss, stores in the cache.  cache may be NULL.
 * A program that does not compile is a result, not an error; ERROR_SANDBOX means the step may be tried again.
 */
int runner_compile(struct sandbox_slot *slot, struct artifact_cache *cache, const struct program *program,
                   struct compiled *ret, struct error *err);

/* One test, run or (where `results` is not NULL) found among what ran before.  Strings of *ret point into *outcome,
 * which the caller ends after encoding. */
int runner_run(struct sandbox_slot *slot, struct result_cache *results, const struct submission *submission,
               const struct test *test, const struct compiled *compiled, struct run_outcome *ret_outcome,
               struct result *ret, struct error *err);

/* The result of a test whose program could not be compiled: the compiler's text is its stderr.  Borrows *compiled. */
void runner_not_compiled(const struct submission *submission, const struct test *test, const struct compiled *compiled,
                         struct result *ret);
