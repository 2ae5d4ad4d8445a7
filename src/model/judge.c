/*
 * judge: derives the verdict from statistics and output.
 *
 * The order of the checks matters: the first cause that explains the others wins.  A run that the memory controller
 * killed also ended with signal 9, and a run that was stopped for its time may have written too much before.
 */
#include "model/judge.h"

#include "model/error_pattern.h"

enum verdict judge_run(const struct run_stats *stats, struct text output, const struct text *expected)
{
    if (stats->cancelled)
        return VERDICT_CANCELLED;
    if (stats->oom_kills > 0)
        return VERDICT_MEMORY_LIMIT;
    if (stats->denied_syscall != 0 && !stats->denied_is_foreign)
        return VERDICT_DENIED_SYSCALL;
    if (stats->cpu_exceeded || stats->wall_exceeded)
        return VERDICT_TIME_LIMIT;
    if (stats->output_exceeded)
        return VERDICT_OUTPUT_LIMIT;
    if (stats->signal != 0 || stats->exit_code != 0)
        return VERDICT_RUNTIME_ERROR;
    if (expected != NULL && !judge_same_output(output, *expected))
        return VERDICT_WRONG_ANSWER;
    return VERDICT_ACCEPTED;
}

enum verdict judge_heap(enum verdict verdict, struct text errors, struct text heap_full)
{
    bool is_full = verdict == VERDICT_RUNTIME_ERROR && heap_full.len > 0 && errors.len > 0 &&
                   memmem(errors.at, errors.len, heap_full.at, heap_full.len) != NULL;
    return is_full ? VERDICT_MEMORY_LIMIT : verdict;
}

enum verdict judge_syntax(enum verdict verdict, const struct run_stats *stats, struct text output, struct text errors,
                          const struct syntax_errors *syntax_errors)
{
    bool may_be = verdict == VERDICT_RUNTIME_ERROR && stats->signal == 0 && output.len == 0;

    if (may_be && error_pattern_found(syntax_errors->patterns, syntax_errors->len, syntax_errors->source, errors))
        return VERDICT_COMPILE_ERROR;
    return verdict;
}

/* Form feeds only divide pages. */
static struct text without_blanks(struct text line)
{
    while (line.len > 0 && line.at[0] == '\f')
        line = (struct text){ line.at + 1, line.len - 1 };
    while (line.len > 0 && memchr(" \t\r\f", line.at[line.len - 1], 4) != NULL)
        line.len--;
    return line;
}

static struct text without_byte_order_mark(struct text text)
{
    bool has_mark = text.len >= 3 && memcmp(text.at, "\xEF\xBB\xBF", 3) == 0;

    return has_mark ? (struct text){ text.at + 3, text.len - 3 } : text;
}

/* Removes the first line from *rest and returns it without blanks at its end.  At the end of *rest it is empty. */
static struct text take_line(struct text *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->at, '\n', rest->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - rest->at) : rest->len;
    struct text line = { rest->at, len };
    size_t taken = end != NULL ? len + 1 : len;

    if (taken > 0)
        *rest = (struct text){ rest->at + taken, rest->len - taken };
    return without_blanks(line);
}

bool judge_same_output(struct text a, struct text b)
{
    a = without_byte_order_mark(a);
    b = without_byte_order_mark(b);
    while (a.len > 0 || b.len > 0)
        if (!text_equal(take_line(&a), take_line(&b)))
            return false;
    return true;
}
