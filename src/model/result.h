/*
 * result: the result of one test.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"
#include "run/run.h"

enum verdict {
    VERDICT_ACCEPTED,
    VERDICT_WRONG_ANSWER,
    VERDICT_COMPILE_ERROR,
    VERDICT_RUNTIME_ERROR,
    VERDICT_TIME_LIMIT,
    VERDICT_MEMORY_LIMIT,
    VERDICT_OUTPUT_LIMIT,
    VERDICT_DENIED_SYSCALL, /* only with denied_syscalls=kill */
    VERDICT_CANCELLED,
    VERDICT_INTERNAL_ERROR,
    VERDICT_COUNT_,
};
const char *verdict_name(enum verdict verdict); /* "accepted", "wrong_answer", ... */

struct result {
    uint32_t element, index; /* as in struct test */
    enum verdict verdict;
    struct run_stats stats; /* of the run, or of the compile step if the verdict is compile_error */
    uint64_t compile_us;    /* 0 if nothing was compiled or the artifact was cached */
    bool compile_cached;
    bool cached;                /* the result of an earlier, equal run (worker/result_cache.h) */
    struct text output, errors; /* stdout and stderr, cut to the limit */
    bool output_cut, errors_cut;
    struct text compile_output;    /* what the compiler printed; the same as errors if it failed */
    struct text message;           /* explains the verdict to people; may be empty */
    struct text language, version; /* that ran */
    bool wants_base64;
};

/*
 * The exit code that clients see: 124 for a time limit, 128 + signal for a signal, 1 for an internal error.  It is 0
 * only if the program ended well: a memory limit or a cancellation whose main process exited with 0 gives 137, an
 * output limit 1.
 */
int result_exit_code(const struct result *result);
