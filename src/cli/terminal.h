/*
 * terminal: prints what programs and servers wrote without letting it control the operator's terminal.  Control
 * characters, also those that change the direction of text, appear as \\x1b or \\u202e.
 */
#pragma once
#include <jansson.h>
#include <stdio.h>

#include "base/text.h"

/* The output of a program: its bytes as they are, or escaped except newlines and tabs if `out` is a terminal. */
int terminal_put(FILE *out, struct text bytes);

/* A JSON text: as it is, or if `out` is a terminal, with \\u escapes of JSON; both mean the same. */
int terminal_put_json(FILE *out, struct text json);

/* Replaces control characters in all strings of the value by "?", except newlines and tabs with `keeps_lines`. */
void terminal_make_presentable(json_t *value, bool keeps_lines);
