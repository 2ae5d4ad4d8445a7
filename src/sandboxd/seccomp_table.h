/*
 * seccomp_table: the one list of system calls that a box may make, and of what the others get.
 *
 * A row names a call, who may use it, the answer, the reason, and conditions on its arguments.  The rows of a call
 * stand together, and the first one that fits decides.  A call that no row fits gets ENOSYS, as on a kernel that does
 * not have it: libraries cope with that.  So a call that is not in the table is denied, also one of a later kernel.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "run/run.h"

/* Who a row is for: bits.  A class of runs is 1 << enum run_class. */
enum seccomp_who {
    FOR_NATIVE = 1u << RUN_CLASS_NATIVE,
    FOR_RUNTIME = 1u << RUN_CLASS_RUNTIME,
    FOR_COMPILER = 1u << RUN_CLASS_COMPILER,
    FOR_LOOPBACK = 1u << RUN_CLASS_COUNT_, /* runs that asked for a loopback network */
    FOR_UNPINNED = FOR_LOOPBACK << 1,      /* runs that may choose their processors */
    FOR_INIT = FOR_LOOPBACK << 2,          /* init of a box */
    FOR_SLOT = FOR_LOOPBACK << 3,          /* the root side, which makes the boxes */
    FOR_RUNTIMES = FOR_RUNTIME | FOR_COMPILER,
    FOR_ALL = FOR_NATIVE | FOR_RUNTIMES,
};

/* The answer: an errno (0: success without an effect), or one of these. */
enum { SECCOMP_ALLOW = -1, SECCOMP_DENY = -2 /* EPERM, or with denied_syscalls=kill the end of the run */ };

/* (half & mask) == value, for one half of an argument.  A row has all of its conditions, up to the first mask of 0. */
#define SECCOMP_CONDITIONS_MAX 3
struct seccomp_condition {
    uint8_t argument;
    uint8_t is_upper; /* the upper 32 bits */
    uint32_t mask, value;
};

struct seccomp_row {
    const char *call;
    uint16_t who; /* enum seccomp_who */
    int16_t answer;
    const char *reason;
    struct seccomp_condition when[SECCOMP_CONDITIONS_MAX];
};

extern const struct seccomp_row seccomp_rows[];
extern const size_t seccomp_rows_len;
