/*
 * judge: derives the verdict of a run from its statistics and output.  Pure: no I/O, no clock.
 */
#pragma once
#include "model/result.h"

/*
 * The first cause that applies decides: cancelled, memory, denied system call, time, output, runtime error, wrong
 * answer.  With `expected` NULL the output is not compared.
 */
enum verdict judge_run(const struct run_stats *stats, struct text output, const struct text *expected);

/*
 * A runtime with a fixed heap size fails by itself below the memory limit.  For clients that is the memory limit, too:
 * a runtime error becomes VERDICT_MEMORY_LIMIT if stderr contains `heap_full`.  Other verdicts do not change.  A
 * program that prints these words itself changes only its own verdict.  An empty `heap_full` never matches.
 */
enum verdict judge_heap(enum verdict verdict, struct text errors, struct text heap_full);

/* True if both are equal except for blanks (space, tab, CR) at line ends and blank lines at the end. */
bool judge_same_output(struct text a, struct text b);
