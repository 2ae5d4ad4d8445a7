/* result: names of verdicts, and exit codes. */
#include "model/result.h"

#include <assert.h>
#include <signal.h>

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {
        [VERDICT_ACCEPTED] = "accepted",           [VERDICT_WRONG_ANSWER] = "wrong_answer",
        [VERDICT_COMPILE_ERROR] = "compile_error", [VERDICT_RUNTIME_ERROR] = "runtime_error",
        [VERDICT_TIME_LIMIT] = "time_limit",       [VERDICT_MEMORY_LIMIT] = "memory_limit",
        [VERDICT_OUTPUT_LIMIT] = "output_limit",   [VERDICT_DENIED_SYSCALL] = "refused_call",
        [VERDICT_CANCELLED] = "cancelled",         [VERDICT_INTERNAL_ERROR] = "internal_error",
    };
    static_assert(sizeof names / sizeof *names == VERDICT_COUNT_, "every verdict has a name");

    assert((unsigned)verdict < VERDICT_COUNT_);
    return names[verdict];
}

/* As a shell reports it. */
static int plain_exit_code(const struct run_stats *stats)
{
    return stats->signal != 0 ? 128 + stats->signal : stats->exit_code;
}

int result_exit_code(const struct result *result)
{
    int code = plain_exit_code(&result->stats);

    switch (result->verdict) {
    case VERDICT_ACCEPTED:
    case VERDICT_WRONG_ANSWER:
        return code;
    case VERDICT_TIME_LIMIT:
        return 124;
    case VERDICT_INTERNAL_ERROR:
        return 1;
    case VERDICT_MEMORY_LIMIT:
    case VERDICT_CANCELLED:
        return code != 0 ? code : 128 + SIGKILL;
    case VERDICT_COMPILE_ERROR:
    case VERDICT_RUNTIME_ERROR:
    case VERDICT_OUTPUT_LIMIT:
    case VERDICT_DENIED_SYSCALL:
        return code != 0 ? code : 1;
    case VERDICT_COUNT_:
        break;
    }
    assert(0 && "a verdict without an exit code");
    return 1;
}
