/*
 * result: what became of one test.  Facts come from the kernel, never from the program.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

/* Measured by the sandbox. */
struct stats {
    uint64_t cpu_us; /* user and system time of the whole group */
    uint64_t wall_us;
    uint64_t memory_bytes;     /* peak of the whole group; 0 where the kernel does not tell */
    int exit_code;             /* of the program; 0 if it ended by a signal */
    int signal;                /* that ended the program, 0 if none */
    uint32_t oom_kills;        /* processes of the group killed for memory */
    uint32_t processes_denied; /* forks refused by the processes limit; 0 where the kernel does not tell */
    uint32_t denied_syscall;   /* 1 + the number of the refused system call that ended the run; 0 if none did */
    bool cpu_exceeded;
    bool wall_exceeded;
    bool output_exceeded; /* stdout or stderr was cut */
    bool cancelled;
};

enum verdict {
    VERDICT_ACCEPTED,
    VERDICT_WRONG_ANSWER,
    VERDICT_COMPILE_ERROR,
    VERDICT_RUNTIME_ERROR,
    VERDICT_TIME_LIMIT,
    VERDICT_MEMORY_LIMIT,
    VERDICT_OUTPUT_LIMIT,
    VERDICT_DENIED_SYSCALL, /* only where refused_calls=kill is set */
    VERDICT_CANCELLED,
    VERDICT_INTERNAL_ERROR,
    VERDICT_COUNT_,
};
const char *verdict_name(enum verdict verdict); /* "accepted", "wrong_answer", ... */

struct result {
    uint32_t element, index; /* as in struct test */
    enum verdict verdict;
    struct stats stats;  /* of the run, or of the compile step where the verdict is compile_error */
    uint64_t compile_us; /* 0 where nothing was compiled, or it came from the cache */
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
