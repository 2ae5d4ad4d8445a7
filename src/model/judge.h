/*
 * judge: facts -> verdict, and the comparison of output.  Pure: no I/O, no clock.
 */
#pragma once
#include "model/result.h"

/*
 * The first cause that explains the others wins: cancelled, memory, refused call, time, output, runtime error, wrong
 * answer. `expected` NULL: nothing is compared.
 */
enum verdict judge_run(const struct run_stats *stats, struct text output, const struct text *expected);

/*
 * A runtime that is given its heap's size stays below the memory limit and fails by itself.  That is the limit all the
 * same: a runtime error with `heap_full` among the errors becomes VERDICT_MEMORY_LIMIT; all else stays what it is.  A
 * program that writes the words itself has only its own verdict to change.  `heap_full` empty: nothing is looked for.
 */
enum verdict judge_heap(enum verdict verdict, struct text errors, struct text heap_full);

/* Equal but for blanks (space, tab, CR) at line ends and blank lines at the end. */
bool judge_same_output(struct text a, struct text b);
