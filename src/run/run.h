/*
 * run: what one run of a program is given (files, class, limits) and what is measured of it (statistics).
 *
 * The sandbox's wire format, the product's model and its JSON share these types, so nothing is copied field by field.
 * It holds only types and pure inline functions: the unprivileged side and the root side both include it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* A file that the run finds in its working folder. */
struct file {
    struct text name;    /* relative; ends in NUL */
    struct text content; /* any bytes */
};

/* What kind of program it is.  Each class has its own filter of system calls (sandboxd/seccomp_table.h). */
enum run_class {
    RUN_CLASS_NATIVE,   /* compiled programs and small interpreters */
    RUN_CLASS_RUNTIME,  /* JVM, Node, Go, .NET: many threads, huge reserved address space */
    RUN_CLASS_COMPILER, /* compilers; they need what a RUNTIME needs */
    RUN_CLASS_COUNT_,
};

/* What a run can reach with internet sockets. */
enum run_network {
    RUN_NETWORK_NONE,     /* there are no internet sockets */
    RUN_NETWORK_LOOPBACK, /* its own processes, at 127.0.0.1 and ::1 */
    RUN_NETWORK_COUNT_,
};

#define RUN_KIB UINT64_C(1024)
#define RUN_MIB (RUN_KIB * 1024)
#define RUN_GIB (RUN_MIB * 1024)

/*
 * The list of limits.  Adding a limit means adding a line at its end.  The request's JSON, language files, stored
 * submissions, the key of the result cache and the message to the root side follow from the list; only the code that
 * enforces the limit has to be written.  The columns:
 *
 *   field      the member of struct limits
 *   type       its type
 *   key        its name in requests and language files; NULL where only evalx sets it
 *   factor     units of the field per unit of the key
 *   floor      smallest value accepted, in units of the key
 *   standard   default, in units of the field; the ceiling applies to it, too
 *   ceiling    largest value accepted: an expression of `config` (struct config)
 *   root_max   largest value the root side grants, whatever it is sent: an expression of `memory_max` (bytes)
 *
 * Values outside [floor, ceiling] are refused and never adjusted, so a verdict always refers to the limit the client
 * asked for.
 */
#define LIMITS_LIST(X)                                                                                                 \
    /* CPU time of all processes and threads together */                                                               \
    X(cpu_us, uint64_t, "cpu_time_ms", 1000, 1, 5000000, config->cpu_ms_max * 1000, UINT64_C(3600) * 1000000)          \
    /* from start to end of the program */                                                                             \
    X(wall_us, uint64_t, "wall_time_ms", 1000, 1, 10000000, config->wall_ms_max * 1000, UINT64_C(7200) * 1000000)      \
    /* of the whole cgroup and of the files unpacked for it; swap is 0 */                                              \
    X(memory_bytes, uint64_t, "memory_bytes", 1, 64 * RUN_KIB, 256 * RUN_MIB, config->memory_bytes_max, memory_max)    \
    /* of the main thread (RLIMIT_STACK) */                                                                            \
    X(stack_bytes, uint64_t, "stack_bytes", 1, 64 * RUN_KIB, 64 * RUN_MIB, config->memory_bytes_max, memory_max)       \
    /* of stdout, and as many of stderr; the reader of the streams enforces it */                                      \
    X(output_bytes, uint64_t, "output_bytes", 1, 0, RUN_MIB, config->output_bytes_max, UINT64_MAX)                     \
    /* one file (RLIMIT_FSIZE) */                                                                                      \
    X(file_bytes, uint64_t, "file_bytes", 1, 0, 64 * RUN_MIB, config->disk_bytes, 64 * RUN_GIB)                        \
    /* all files of the run together */                                                                                \
    X(disk_bytes, uint64_t, NULL, 1, 0, UINT64_MAX, config->disk_bytes, 64 * RUN_GIB)                                  \
    /* processes and threads at one time */                                                                            \
    X(processes, uint32_t, "processes", 1, 1, 64, config->processes_max, 32768)                                        \
    /* RLIMIT_NOFILE */                                                                                                \
    X(open_files, uint32_t, NULL, 1, 0, 1024, 1024, 65536)

struct limits {
#define X(field, type, ...) type field;
    LIMITS_LIST(X)
#undef X
};

static inline bool limits_equal(const struct limits *a, const struct limits *b)
{
#define X(field, ...) &&a->field == b->field
    return true LIMITS_LIST(X);
#undef X
}

/* Measured by the kernel and the sandbox; nothing here is reported by the program. */
struct run_stats {
    uint64_t cpu_us; /* user and system time of the whole cgroup */
    uint64_t wall_us;
    uint64_t waited_us;        /* of wall_us: the run was ready, but other programs had the processors */
    uint64_t memory_bytes;     /* peak of the whole cgroup; 0 if the kernel does not report it */
    int exit_code;             /* 0 if a signal ended the program */
    int signal;                /* that ended the program, or 0 */
    uint32_t oom_kills;        /* processes of the cgroup that were killed for lack of memory */
    uint32_t processes_denied; /* forks refused by the limit of processes; 0 if the kernel does not report it */
    uint64_t denied_syscall;   /* 1 + the number of the denied system call that ended the run, or 0 */
    uint32_t denied_arch;      /* its AUDIT_ARCH_ value */
    bool denied_is_foreign;    /* it is a call of another architecture or of x32, which always ends a run */
    bool cpu_exceeded;         /* the limit was reached, as in run_stats_compare */
    bool wall_exceeded;
    bool output_exceeded; /* stdout or stderr was cut */
    bool cancelled;
};

/* However long a run has waited for processors, it ends after this many times its wall limit. */
#define RUN_WALL_STRETCH 10u

/*
 * The rule for time: a run that has used all of its limit has exceeded it.  Waiting for a processor does not count.
 * The sandbox ends a run when it reaches a limit; a run that ends by itself at that moment, or before the check, is
 * judged by the same rule.
 */
static inline void run_stats_compare(struct run_stats *stats, const struct limits *limits)
{
    stats->cpu_exceeded |= stats->cpu_us >= limits->cpu_us;
    stats->wall_exceeded |=
        stats->wall_us >= limits->wall_us + stats->waited_us || stats->wall_us / RUN_WALL_STRETCH >= limits->wall_us;
}
