/*
 * limits: what a run may use.  Every limit has a default and a ceiling; a value outside
 * [floor, ceiling] is refused, never bent silently, so that a verdict means what the client asked for.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct config;

struct limits {
    uint64_t cpu_us;       /* CPU time of all processes and threads together */
    uint64_t wall_us;      /* from start to end of the program */
    uint64_t memory_bytes; /* of the whole group, tmpfs files included; swap is 0 */
    uint64_t stack_bytes;  /* of the main thread (RLIMIT_STACK) */
    uint64_t output_bytes; /* stdout, and as many for stderr */
    uint64_t file_bytes;   /* one file (RLIMIT_FSIZE) */
    uint64_t disk_bytes;   /* all files of the run together; not set by clients */
    uint32_t processes;    /* processes and threads at one time */
    uint32_t open_files;   /* RLIMIT_NOFILE; not set by clients */
};

/* The API's names and units, in one list: X(field, JSON key, units of the field per unit of the key, floor in units
 * of the key).  limits_default and limits_ceiling say the rest. */
#define LIMITS_LIST(X)                                                                                                 \
    X(cpu_us, "cpu_time_ms", 1000, 1)                                                                                  \
    X(wall_us, "wall_time_ms", 1000, 1)                                                                                \
    X(memory_bytes, "memory_bytes", 1, 1 << 20)                                                                        \
    X(stack_bytes, "stack_bytes", 1, 64 << 10)                                                                         \
    X(processes, "processes", 1, 1)                                                                                    \
    X(output_bytes, "output_bytes", 1, 0)                                                                              \
    X(file_bytes, "file_bytes", 1, 0)

/* The same list as a table, in the order of LIMITS_LIST. */
struct limit_field {
    const char *key;
    uint64_t factor; /* units of the field per unit of the key */
    uint64_t floor;  /* in units of the key */
};
#define X(field, key, factor, floor) +1
enum { LIMIT_FIELDS_LEN = 0 LIMITS_LIST(X) };
#undef X
extern const struct limit_field limit_fields[LIMIT_FIELDS_LEN];
/* In the field's own units. */
uint64_t limits_get(const struct limits *limits, size_t field);
void limits_set(struct limits *limits, size_t field, uint64_t value);

/*
 * cpu 5 s, wall 10 s, memory 256 MiB, stack 64 MiB, 64 processes, output 1 MiB, file 64 MiB, disk config->disk_bytes;
 * each at most its ceiling.
 */
void limits_default(const struct config *config, struct limits *ret);
/* The largest value of each that is accepted; stack and file are bounded by the memory and disk ceilings. */
void limits_ceiling(const struct config *config, struct limits *ret);

/*
 * The client's "timeout": CPU time, with wall time beside it: half as much again, at least one second more, so that
 * a busy machine does not turn an answer into a time-out, and a sleeping program still ends soon.
 */
void limits_set_timeout(struct limits *limits, uint64_t timeout_us);

/* "128m", "512M", "1g", "64k", "1048576", "256mb", "1GiB": bytes, powers of 1024. */
int limits_parse_memory(const char *value, uint64_t *ret_bytes, struct error *err);
