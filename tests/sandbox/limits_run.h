/* limits_run: runs limits_program in a box and summarizes many runs, for the tests of limits and the benchmark. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "sandbox/sandbox.h"

struct limits_run {
    struct sandbox *sandbox;
    struct sandbox_slot *slot;
    int program; /* archive with limits_program */
};

/* As root.  `program` is the path of the built limits_program. */
int limits_run_open(struct limits_run *run, const char *program, struct error *err);
void limits_run_close(struct limits_run *run);

/* 5 s of CPU time, 10 s, 512 MiB, 1200 processes. */
extern const struct limits limits_run_easy;

/* Runs limits_program WHAT NUMBER (NULL: none).  The caller calls run_outcome_done. */
int limits_run_program(struct limits_run *run, const char *what, const char *number, const struct limits *limits,
                       struct run_outcome *ret, struct error *err);

struct spread {
    uint64_t least, median, p99, most;
};
/* Sorts the samples. */
struct spread spread_of(uint64_t samples[], size_t len);
