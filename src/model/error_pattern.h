/*
 * error_pattern: finds in a program's stderr what an interpreter prints for a source that it cannot read.
 *
 * A pattern matches at the start of any line, and whatever follows its match is ignored.  In it
 *   {source}  is the name of the source file       {number}  one or more digits
 *   *         any text, also over several lines    \n \t     the end of a line, a tab
 * and all else stands for itself.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

/* Refuses an empty pattern and an unknown placeholder. */
int error_pattern_check(struct text pattern, struct error *err);

/* The time is linear in the length of `errors`, which is the program's to choose. */
bool error_pattern_found(const struct text *patterns, size_t len, struct text source, struct text errors);
