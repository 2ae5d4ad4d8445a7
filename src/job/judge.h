/*
 * judge: facts -> verdict, and the comparison of output.  Pure: no I/O, no clock.
 */
#pragma once
#include "job/limits.h"
#include "job/result.h"

/*
 * The first cause that explains the others wins: cancelled, memory, refused call, time, output, runtime error, wrong
 * answer. `expected` NULL: nothing is compared.
 */
enum verdict judge_run(const struct facts *facts, const struct limits *limits, struct text output,
                       const struct text *expected);

/* Equal but for blanks (space, tab, CR) at line ends and blank lines at the end. */
bool judge_same_output(struct text a, struct text b);
