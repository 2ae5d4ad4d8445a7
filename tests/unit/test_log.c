/* One call writes one line, whatever the text contains. */
#include "cases.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* What a call of log_line writes to stderr. */
static void captured(char *out, size_t bytes, enum log_level level, const char *text)
{
    int pipes[2], saved = dup(STDERR_FILENO);

    assert_int_equal(pipe(pipes), 0);
    assert_true(saved >= 0 && dup2(pipes[1], STDERR_FILENO) >= 0);
    log_line(level, "%s", text);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    close(pipes[1]);
    ssize_t len = read(pipes[0], out, bytes - 1);
    assert_true(len >= 0);
    out[len] = '\0';
    close(pipes[0]);
}

static void a_line_cannot_be_forged(void **state)
{
    (void)state;
    char line[5000];

    clock_fake(0, 0);
    captured(line, sizeof line, LOG_LEVEL_WARN, "a \"b\"\\\nts=1 level=error\x1b\xff \xc3\xa9");
    clock_real();
    assert_contains(line, "ts=1970-01-01T00:00:00.000Z level=warn pid=");
    assert_contains(line, " msg=\"a \\\"b\\\"\\\\\\nts=1 level=error\\x1b\\xff \xc3\xa9\"\n");
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void a_long_line_is_cut_and_marked(void **state)
{
    (void)state;
    char line[5000], text[6000];

    for (int kind = 0; kind < 2; kind++) { /* plain, and growing fourfold by escapes */
        memset(text, kind == 0 ? 'a' : 1, sizeof text - 1);
        text[sizeof text - 1] = '\0';
        captured(line, sizeof line, LOG_LEVEL_ERROR, text);
        assert_true(strlen(line) <= 4096);
        assert_contains(line, "...(cut)\"\n");
    }
}

static void levels_below_the_set_one_are_silent(void **state)
{
    (void)state;
    enum log_level level;
    char line[5000];

    captured(line, sizeof line, LOG_LEVEL_DEBUG, "x");
    assert_string_equal(line, "");
    assert_int_equal(log_level_parse("debug", &level), 0);
    log_set_level(level);
    captured(line, sizeof line, LOG_LEVEL_DEBUG, "x");
    assert_contains(line, "level=debug");
    assert_int_equal(log_level_parse("loud", &level), -1);
    log_set_level(LOG_LEVEL_INFO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_cannot_be_forged),
        cmocka_unit_test(a_long_line_is_cut_and_marked),
        cmocka_unit_test(levels_below_the_set_one_are_silent),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
