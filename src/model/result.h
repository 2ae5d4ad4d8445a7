/*
 * result: what became of one test.  Facts come from the kernel, never from the program.
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
    VERDICT_DENIED_SYSCALL, /* only where denied_syscalls=kill is set */
    VERDICT_CANCELLED,
    VERDICT_INTERNAL_ERROR,
    VERDICT_COUNT_,
};
const char *verdict_name(enum verdict verdict); /* "accepted", "wrong_answer", ... */

struct result {
    uint32_t element, index; /* as in struct test */
    enum verdict verdict;
    struct run_stats stats; /* of the run, or of the compile step where the verdict is compile_error */
    uint64_t compile_us;    /* 0 where nothing was compiled, or it came from the cache */
    bool compile_cached;
    bool cached;                /* the run is one that went before; see worker/result_cache.h */
    struct text output, errors; /* stdout and stderr as bytes, already cut to the limit */
    bool output_cut, errors_cut;
    struct text compile_output;    /* what a successful compile printed (warnings) */
    struct text message;           /* for people: why it is so, or empty */
    struct text language, version; /* what ran */
    bool wants_base64;
};

/*
 * The exit code clients see: 124 for a time limit, 128+signal for a signal, 1 for an internal error.  Never 0 unless
 * the program really ended well: a memory limit or a cancel whose main process ended with 0 shows 137, an output
 * limit 1.
 */
int result_exit_code(const struct result *result);
