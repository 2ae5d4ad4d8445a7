/* memory: how much memory this process may use. */
#pragma once
#include <stdint.h>

/*
 * The memory of the machine, or the lowest memory limit of this process' control groups (v1 and v2) if that is less.
 * UINT64_MAX if neither can be read.
 */
uint64_t memory_limit(void);
/* A default for a budget: an eighth of memory_limit, at most `most` bytes. */
uint64_t memory_budget(uint64_t most);
