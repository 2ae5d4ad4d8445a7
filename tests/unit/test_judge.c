/* The verdict for each way in which a run can end.  One row, one rule. */
#include "cases.h"

#include "model/judge.h"

static void a_limit_that_is_used_up_is_exceeded(void **state)
{
    (void)state;
    static const struct limits limits = { .cpu_us = 2000000, .wall_us = 6000000 };
    static const struct {
        const char *why;
        struct run_stats stats;
        bool cpu_exceeded, wall_exceeded;
    } rows[] = {
        { "just below both", { .cpu_us = 1999999, .wall_us = 5999999 }, false, false },
        { "exactly its CPU time", { .cpu_us = 2000000, .wall_us = 5999999 }, true, false },
        { "a little more", { .cpu_us = 2000001 }, true, false },
        { "exactly its wall time", { .wall_us = 6000000 }, false, true },
        { "sleeping is time too", { .wall_us = 6000001 }, false, true },
        { "stopped for its time, whatever was measured", { .cpu_exceeded = true }, true, false },
        { "stopped for sleeping, whatever was measured", { .wall_exceeded = true }, false, true },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct run_stats stats = rows[i].stats;
        print_message("  %s\n", rows[i].why);
        run_stats_compare(&stats, &limits);
        assert_int_equal(stats.cpu_exceeded, rows[i].cpu_exceeded);
        assert_int_equal(stats.wall_exceeded, rows[i].wall_exceeded);
        assert_int_equal(judge_run(&stats, TEXT("42"), &TEXT("42")),
                         stats.cpu_exceeded || stats.wall_exceeded ? VERDICT_TIME_LIMIT : VERDICT_ACCEPTED);
    }
}

static void the_first_cause_wins(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        struct run_stats stats;
        struct text output;
        enum verdict verdict;
    } rows[] = {
        { "clean exit", { 0 }, { "42\n", 3 }, VERDICT_ACCEPTED },
        { "other output", { 0 }, { "41\n", 3 }, VERDICT_WRONG_ANSWER },
        { "stopped for its time", { .cpu_exceeded = true, .signal = 9 }, { "", 0 }, VERDICT_TIME_LIMIT },
        { "stopped for sleeping", { .wall_exceeded = true, .signal = 9 }, { "", 0 }, VERDICT_TIME_LIMIT },
        { "oom beats signal 9", { .oom_kills = 1, .signal = 9 }, { "", 0 }, VERDICT_MEMORY_LIMIT },
        { "oom beats time", { .oom_kills = 1, .wall_exceeded = true }, { "", 0 }, VERDICT_MEMORY_LIMIT },
        { "oom of a child, clean exit", { .oom_kills = 1 }, { "42", 2 }, VERDICT_MEMORY_LIMIT },
        { "time beats cut output", { .cpu_exceeded = true, .output_exceeded = true }, { "", 0 }, VERDICT_TIME_LIMIT },
        { "a refused call beats the time it waited",
          { .denied_syscall = 1 + 165, .signal = 31, .wall_exceeded = true },
          { "", 0 },
          VERDICT_DENIED_SYSCALL },
        { "memory beats a refused call", { .denied_syscall = 1, .oom_kills = 1 }, { "", 0 }, VERDICT_MEMORY_LIMIT },
        { "a SIGSYS of its own is no refused call", { .signal = 31 }, { "", 0 }, VERDICT_RUNTIME_ERROR },
        { "cut output beats a signal", { .output_exceeded = true, .signal = 13 }, { "", 0 }, VERDICT_OUTPUT_LIMIT },
        { "cut output beats its text", { .output_exceeded = true }, { "42", 2 }, VERDICT_OUTPUT_LIMIT },
        { "exit code", { .exit_code = 1 }, { "42\n", 3 }, VERDICT_RUNTIME_ERROR },
        { "signal", { .signal = 11 }, { "42\n", 3 }, VERDICT_RUNTIME_ERROR },
        { "cancelled beats all",
          { .cancelled = true, .oom_kills = 1, .cpu_exceeded = true },
          { "", 0 },
          VERDICT_CANCELLED },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        print_message("  %s\n", rows[i].why);
        assert_string_equal(verdict_name(judge_run(&rows[i].stats, rows[i].output, &TEXT("42"))),
                            verdict_name(rows[i].verdict));
    }
}

static void a_full_heap_is_the_memory_limit(void **state)
{
    (void)state;
    const struct text full = TEXT("OutOfMemoryError"), said = TEXT("Exception: OutOfMemoryError: Java heap space\n");
    assert_int_equal(judge_heap(VERDICT_RUNTIME_ERROR, said, full), VERDICT_MEMORY_LIMIT);
    assert_int_equal(judge_heap(VERDICT_RUNTIME_ERROR, TEXT("Exception: other\n"), full), VERDICT_RUNTIME_ERROR);
    assert_int_equal(judge_heap(VERDICT_RUNTIME_ERROR, TEXT(""), full), VERDICT_RUNTIME_ERROR);
    assert_int_equal(judge_heap(VERDICT_RUNTIME_ERROR, said, TEXT("")), VERDICT_RUNTIME_ERROR);
    /* One that caught it, and went on. */
    assert_int_equal(judge_heap(VERDICT_ACCEPTED, said, full), VERDICT_ACCEPTED);
    assert_int_equal(judge_heap(VERDICT_TIME_LIMIT, said, full), VERDICT_TIME_LIMIT);
}

static void a_source_that_does_not_parse_is_a_compile_error(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *errors;
        bool is_found;
    } rows[] = {
        { "  File \"{source}\", line {number}\\n", "  File \"main.x\", line 12\n    a b\nSyntaxError\n", true },
        { "  File \"{source}\", line {number}\\n", "warning\n  File \"main.x\", line 1\n", true },
        { "  File \"{source}\", line {number}\\n", "Traceback\n  File \"main.x\", line 1, in <module>\n", false },
        { "  File \"{source}\", line {number}\\n", "  File \"main.x\", line \n", false },
        { "  File \"{source}\", line {number}\\n", "  File \"other.x\", line 1\n", false },
        { "E: *{source} on", "E: a main.x in\nb main.x on", true },
        { "E: *{source} on", "E: a\nF: main.x off", false },
        { "E: *\\n\\tx*y", "E: 1\n\tz\n\txy", true },
        { "E: *\\n\\tx*y", "E: 1\n\tyx", false },
        { "E", "aE", false },
        { "E", "", false },
    };
    const struct run_stats failed = { .exit_code = 1 }, killed = { .signal = 9 };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct text pattern = text_of(rows[i].pattern);
        struct syntax_errors errors = { &pattern, 1, TEXT("main.x") };
        print_message("  %s in %s\n", rows[i].pattern, rows[i].errors);
        assert_int_equal(judge_syntax(VERDICT_RUNTIME_ERROR, &failed, TEXT(""), text_of(rows[i].errors), &errors),
                         rows[i].is_found ? VERDICT_COMPILE_ERROR : VERDICT_RUNTIME_ERROR);
    }
    struct syntax_errors errors = { &TEXT("E"), 1, TEXT("main.x") };
    assert_int_equal(judge_syntax(VERDICT_RUNTIME_ERROR, &failed, TEXT("1"), TEXT("E"), &errors),
                     VERDICT_RUNTIME_ERROR);
    assert_int_equal(judge_syntax(VERDICT_RUNTIME_ERROR, &killed, TEXT(""), TEXT("E"), &errors), VERDICT_RUNTIME_ERROR);
    assert_int_equal(judge_syntax(VERDICT_TIME_LIMIT, &failed, TEXT(""), TEXT("E"), &errors), VERDICT_TIME_LIMIT);
}

static void without_an_expectation_nothing_is_compared(void **state)
{
    (void)state;
    assert_int_equal(judge_run(&(struct run_stats){ 0 }, TEXT("x"), NULL), VERDICT_ACCEPTED);
    assert_int_equal(judge_run(&(struct run_stats){ 0 }, TEXT("x"), &TEXT("")), VERDICT_WRONG_ANSWER);
    assert_int_equal(judge_run(&(struct run_stats){ 0 }, TEXT(" \n\n"), &TEXT("")), VERDICT_ACCEPTED);
}

static void blanks_at_line_ends_do_not_count(void **state)
{
    (void)state;
    static const struct {
        struct text a, b;
        bool same;
    } rows[] = {
        { { "1 2 \r\n3\n\n", 9 }, { "1 2\n3", 5 }, true },
        { { "1\n\n2", 4 }, { "1\n2", 3 }, false },
        { { "a\0b", 3 }, { "a\0c", 3 }, false },
        { { "", 0 }, { "\n", 1 }, true },
        { { NULL, 0 }, { " \t\r\n \n", 6 }, true },
        { { " 1", 2 }, { "1", 1 }, false },
        { { "1  2", 4 }, { "1 2", 3 }, false },
        { { "\n1", 2 }, { "1", 1 }, false },
        { { "1\n", 2 }, { "1\n\0", 3 }, false },
        { { "1\v", 2 }, { "1", 1 }, false },
        { TEXT("\xEF\xBB\xBF"
               "1\n2"),
          TEXT("1\n2"), true },
        { TEXT("\xEF\xBB\xBF"
               "1"),
          TEXT("\xEF\xBB\xBF"
               "1\n"),
          true },
        { TEXT("\xEF\xBB\xBF"), TEXT(""), true },
        { TEXT("\xEF\xBB\xBF"
               "\xEF\xBB\xBF"
               "1"),
          TEXT("1"), false },
        { TEXT("1\n\xEF\xBB\xBF"
               "2"),
          TEXT("1\n2"), false },
        { TEXT("\xEF\xBB"
               "1"),
          TEXT("1"), false },
        { TEXT("1\n\f"), TEXT("1"), true },
        { TEXT("1\f\n2 \f \n"), TEXT("1\n2"), true },
        { TEXT("1\n\f2"), TEXT("1\n2"), true },
        { TEXT("1\f2"), TEXT("12"), false },
        { TEXT("\f 1"), TEXT("1"), false },
        { { "1", 1 }, { "1\n\n \n2", 6 }, false },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(judge_same_output(rows[i].a, rows[i].b), rows[i].same);
        assert_int_equal(judge_same_output(rows[i].b, rows[i].a), rows[i].same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_that_is_used_up_is_exceeded),
        cmocka_unit_test(the_first_cause_wins),
        cmocka_unit_test(a_full_heap_is_the_memory_limit),
        cmocka_unit_test(a_source_that_does_not_parse_is_a_compile_error),
        cmocka_unit_test(without_an_expectation_nothing_is_compared),
        cmocka_unit_test(blanks_at_line_ends_do_not_count),
    };
    return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
