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

/*
 * An interpreter compiles when it runs.  A runtime error without output becomes VERDICT_COMPILE_ERROR if stderr has one
 * of the patterns (error_pattern.h) of what it prints for a `source` that it cannot read.
 */
struct syntax_errors {
    const struct text *patterns;
    size_t len;
    struct text source;
};
enum verdict judge_syntax(enum verdict verdict, const struct run_stats *stats, struct text output, struct text errors,
                          const struct syntax_errors *syntax_errors);

/*
 * True if both are equal except for a byte order mark at the start, blanks (space, tab, CR, form feed) at line
 * ends, form feeds at the start of lines, and blank lines at the end.
 */
bool judge_same_output(struct text a, struct text b);
