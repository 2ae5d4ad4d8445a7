/* What a client may send, how it is decoded, and how each mistake is reported. */
#include "fixture.h"

#include "base/clock.h"
#include "codec/json_scan.h"
#include "codec/request_json.h"
#include "codec/submission_json.h"

static int decode(const char *body, enum request_kind kind, struct submission *ret, struct error *err)
{
    *err = (struct error){ 0 };
    return request_decode(text_of(body), kind, &languages, TEXT("*"), &config, ret, err);
}

#define C "\"language\":\"c\",\"version\":\"11\",\"code\":\"x\""

static void expect_refusal(struct text body, enum request_kind kind, const char *field, const char *text)
{
    struct submission submission;
    struct error err = { 0 };

    print_message("  %.100s\n", body.at);
    assert_int_equal(request_decode(body, kind, &languages, TEXT("*"), &config, &submission, &err), -1);
    assert_int_equal(err.kind, ERROR_REQUEST);
    assert_string_equal(err.field, field);
    assert_contains(err.text, text);
}

static void invalid_json_is_reported_with_its_position(void **state)
{
    (void)state;
    static const struct {
        struct text body;
        const char *text;
    } rows[] = {
        { { "", 0 }, "got an empty body" },
        { { "[{\"a\":\n 1,", 10 }, "line 2, column 3" },
        { { "[] x", 4 }, "line 1, column 4: end of file expected" },
        { { "[NaN]", 5 }, "invalid token near 'NaN'" },
        { { "[1e999]", 7 }, "real number overflow" },
        { { "[99999999999999999999]", 22 }, "too big integer" },
        { { "[{\"a\":1,\"a\":2}]", 15 }, "duplicate object key" },
        { { "[\"\\ud800\"]", 10 }, "invalid Unicode" },
        { { "[\"\xff\"]", 5 }, "unable to decode byte" },
        { { "[01]", 4 }, "line 1" },
        { { "5", 1 }, "'[' or '{' expected" },
        { { "\0[]", 3 }, "line 1" },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        expect_refusal(rows[i].body, REQUEST_BATCH, "", rows[i].text);

    char deep[100000];
    memset(deep, '[', sizeof deep);
    expect_refusal((struct text){ deep, sizeof deep }, REQUEST_BATCH, "", "at most 64 levels");
}

static void what_the_parser_would_build_is_bounded(void **state)
{
    (void)state;
    static char text[1 << 20];
    size_t len = 0;

    for (unsigned i = 0; i <= JSON_SCAN_NAMES_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s\"%u\":1", i == 0 ? "{\n" : ",", i);
    expect_refusal((struct text){ text, len }, REQUEST_SINGLE, "", "at most 1000 names in an object");
    for (len = 0; len < 3 * JSON_SCAN_VALUES_MAX; len += 3)
        memcpy(text + len, "\n{}", 3);
    text[1] = '[';
    text[2] = ' ';
    memcpy(text + len, "\n[]", 3);
    expect_refusal((struct text){ text, len + 3 }, REQUEST_BATCH, "", "at most 200000 values and names");
    struct error err = { 0 };
    assert_int_equal(json_scan((struct text){ text, len }, &err), 0);
    assert_int_equal(json_scan((struct text){ text, len + 3 }, &err), -1);
    assert_contains(err.text, "line 200002, column 1");
    /* Brackets, commas and escaped quotes inside a string are no values. */
    memset(text, '[', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    memcpy(text + 100, "\\\",\\\\", 5);
    assert_int_equal(json_scan((struct text){ text, sizeof text }, &err), 0);
}

static void a_mistake_is_reported_with_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *body, *field, *text;
    } rows[] = {
        { "{}", "", "expected an array of 1 to 100 objects, got an object" },
        { "[]", "", "expected an array of 1 to 100 objects, got 0" },
        { "[5]", "[0]", "expected an object, got 5" },
        { "[{" C "},\"a\"]", "[1]", "expected an object, got the string \"a\"" },
        { "[{}]", "[0].language", "expected the name of a language, got nothing" },
        { "[{\"language\":\"\"}]", "[0].language", "got an empty string" },
        { "[{\"language\":7}]", "[0].language", "expected the name of a language, got 7" },
        { "[{\"language\":\"c\"}]", "[0].code", "expected the source of the program, got nothing" },
        { "[{\"language\":\"c\",\"version\":\"11\",\"code\":null}]", "[0].code", "expected the source" },
        { "[{\"language\":\"c\",\"version\":\"11\",\"code\":\"a\\u0000b\"}]", "[0].code",
          "without NUL, got one at byte 1 of 3" },
        { "[{\"language\":\"klingon\",\"version\":\"1\",\"code\":\"x\"}]", "[0].language",
          "expected one of ada, algol68, " },
        { "[{" C ",\"timeout\":-1}]", "[0].timeout", "expected 0.001 to 60 seconds, got -1" },
        { "[{" C ",\"timeout\":0}]", "[0].timeout", "got 0" },
        { "[{" C ",\"timeout\":60.5}]", "[0].timeout", "got 60.5" },
        { "[{" C ",\"timeout\":\"5\"}]", "[0].timeout", "expected a number of seconds, got the string \"5\"" },
        { "[{" C ",\"memory_limit\":\"lots\"}]", "[0].memory_limit", "expected a size such as \"128m\"" },
        { "[{" C ",\"memory_limit\":\"3g\"}]", "[0].memory_limit", "to 2147483648 bytes, got the string \"3g\"" },
        { "[{" C ",\"memory_limit\":-5}]", "[0].memory_limit", "got -5" },
        { "[{" C ",\"memory_limit\":1.5}]", "[0].memory_limit", "whole number of bytes, got 1.5" },
        { "[{" C ",\"memory_limit\":\"1m\\u0000\"}]", "[0].memory_limit", "expected a size" },
        { "[{" C "},{\"timeout\":-2}]", "[1].timeout", "got -2" },
        { "[{" C "},{" C "},{},{\"limits\":{\"processes\":0}}]", "[3].limits.processes", "expected 1 to 256, got 0" },
        { "[{" C ",\"limits\":{\"processes\":257}}]", "[0].limits.processes", "got 257" },
        { "[{" C ",\"limits\":{\"stack_bytes\":1.5}}]", "[0].limits.stack_bytes", "expected a whole number, got 1.5" },
        { "[{" C ",\"limits\":{\"cpu_time_ms\":60001}}]", "[0].limits.cpu_time_ms", "expected 1 to 60000" },
        { "[{" C ",\"limits\":{\"output_bytes\":-1}}]", "[0].limits.output_bytes", "expected 0 to 16777216, got -1" },
        { "[{" C ",\"limits\":[]}]", "[0].limits", "expected an object, got an array" },
        { "[{" C ",\"stdin\":5}]", "[0].stdin", "expected a string, got 5" },
        { "[{" C ",\"stdin\":\"\",\"stdin_base64\":\"\"}]", "[0].stdin_base64",
          "expected stdin or stdin_base64, got both" },
        { "[{" C ",\"stdin_base64\":\"=\"}]", "[0].stdin_base64", "not base64" },
        { "[{" C ",\"tests\":[{},{},{\"stdin_base64\":true}]}]", "[0].tests[2].stdin_base64",
          "expected a string of base64" },
        { "[{" C ",\"tests\":[]}]", "[0].tests", "expected an array of 1 to 1000, got 0" },
        { "[{" C ",\"tests\":{}}]", "[0].tests", "got an object" },
        { "[{" C ",\"tests\":[7]}]", "[0].tests[0]", "expected an object, got 7" },
        { "[{" C ",\"args\":\"a\"}]", "[0].args", "expected an array of 0 to 64, got the string" },
        { "[{" C ",\"args\":[1]}]", "[0].args[0]", "expected a string, got 1" },
        { "[{" C ",\"args\":[\"a\",\"\\u0000\"]}]", "[0].args[1]", "without NUL" },
        { "[{" C ",\"base64\":1}]", "[0].base64", "expected true or false, got 1" },
        { "[{" C ",\"expected_output\":false}]", "[0].expected_output", "expected a string, got false" },
        { "[{" C ",\"cache\":\"yes\"}]", "[0].cache", "expected true or false, got" },
        { "[{" C ",\"priority\":\"urgent\"}]", "[0].priority", "expected \"high\", \"normal\" or \"low\"" },
        { "[{" C ",\"files\":[{\"name\":\"../a\",\"content\":\"\"}]}]", "[0].files[0].name",
          "expected a relative file name" },
        { "[{" C ",\"files\":[{\"name\":\"./../a\",\"content\":\"\"}]}]", "[0].files[0].name",
          "expected a relative file name" },
        { "[{" C ",\"files\":[{\"name\":\"//a\",\"content\":\"\"}]}]", "[0].files[0].name",
          "expected a relative file name" },
        { "[{" C ",\"files\":[{\"name\":\"a/\",\"content\":\"\"}]}]", "[0].files[0].name",
          "expected a relative file name" },
        { "[{" C ",\"files\":[{\"name\":\".//main.c\",\"content\":\"\"}]}]", "[0].files[0].name",
          "main.c exists already" },
        { "[{" C ",\"files\":[{\"name\":\"main.c\",\"content\":\"\"}]}]", "[0].files[0].name",
          "main.c exists already" },
        { "[{" C ",\"files\":[{\"name\":\"main\",\"content\":\"\"}]}]", "[0].files[0].name",
          "the compiler writes main" },
        { "[{" C ",\"files\":[{\"name\":\"a\",\"content\":\"\"},{\"name\":\"a/b\",\"content\":\"\"}]}]",
          "[0].files[1].name", "a exists already" },
        { "[{" C ",\"files\":[{\"name\":\"a\"}]}]", "[0].files[0]", "expected content or content_base64" },
        { "[{" C ",\"files\":[5]}]", "[0].files[0]", "expected an object with name and content" },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        expect_refusal(text_of(rows[i].body), REQUEST_BATCH, rows[i].field, rows[i].text);
    expect_refusal(TEXT("[]"), REQUEST_SINGLE, "", "expected an object, got an array");
    expect_refusal(TEXT("{" C ",\"tests\":[{\"limits\":{\"processes\":-1}}]}"), REQUEST_SINGLE,
                   "tests[0].limits.processes", "got -1");
    expect_refusal(TEXT("[{" C "},{}]"), REQUEST_PARALLEL, "[1].language", "got nothing");
}

/* Appends `count` copies of `piece` between `head` and `tail`, with commas. */
static void repeated(struct buf *out, const char *head, const char *piece, size_t count, const char *tail)
{
    struct error err;

    buf_clear(out);
    assert_ok(buf_printf(out, &err, "%s", head), err);
    for (size_t i = 0; i < count; i++)
        assert_ok(buf_printf(out, &err, "%s%s", i > 0 ? "," : "", piece), err);
    assert_ok(buf_printf(out, &err, "%s", tail), err);
}

static void counts_are_bounded(void **state)
{
    (void)state;
    auto_buf struct buf body = { .max = 1 << 20 };
    struct submission submission;
    struct error err;

    repeated(&body, "[", "{" C "}", 100, "]");
    assert_ok(decode(body.at, REQUEST_BATCH, &submission, &err), err);
    submission_done(&submission);
    repeated(&body, "[", "{" C "}", 101, "]");
    expect_refusal(buf_text(&body), REQUEST_BATCH, "", "1 to 100 objects, got 101");

    repeated(&body, "{" C ",\"tests\":[", "{}", 1000, "]}");
    assert_ok(decode(body.at, REQUEST_SINGLE, &submission, &err), err);
    assert_int_equal(submission.tests_len, 1000);
    submission_done(&submission);
    repeated(&body, "{" C ",\"tests\":[", "{}", 1001, "]}");
    expect_refusal(buf_text(&body), REQUEST_SINGLE, "", "at most 1000 tests in total, got 1001");
    repeated(&body, "[{" C ",\"tests\":[", "{}", 1000, "]},{}]");
    expect_refusal(buf_text(&body), REQUEST_BATCH, "", "at most 1000 tests in total, got 1001");

    repeated(&body, "{" C ",\"args\":[", "\"\"", 65, "]}");
    expect_refusal(buf_text(&body), REQUEST_SINGLE, "args", "0 to 64, got 65");
    repeated(&body, "{" C ",\"args\":[\"", "aaaaaaaaaaaaaaa", 512, "\"]}"); /* 512 * 16 - 1 bytes */
    assert_ok(decode(body.at, REQUEST_SINGLE, &submission, &err), err);
    submission_done(&submission);
    repeated(&body, "{" C ",\"args\":[\"a\",\"b\",\"", "aaaaaaaaaaaaaaa", 512, "\"]}");
    expect_refusal(buf_text(&body), REQUEST_SINGLE, "args", "at most 8192 bytes");
    repeated(&body, "{" C ",\"files\":[", "{}", 65, "]}");
    expect_refusal(buf_text(&body), REQUEST_SINGLE, "files", "0 to 64, got 65");
}

static void later_elements_inherit_from_the_first(void **state)
{
    (void)state;
    struct submission submission;
    struct error err;

    clock_fake(123456, 0);
    assert_ok(decode("[{" C
                     ",\"timeout\":2,\"memory_limit\":\"64m\",\"stdin\":\"1\",\"priority\":\"low\",\"cache\":true,"
                     "\"_testId\":[{}],"
                     "\"args\":[\"a\"],\"files\":[{\"name\":\"h.h\",\"content_base64\":\"AA==\"}],"
                     "\"limits\":{\"processes\":7}},"
                     "{\"stdin\":\"2\"},"
                     "{\"language\":\"\",\"version\":null,\"code\":\"\",\"timeout\":\"\",\"memory_limit\":\"\"},"
                     "{" C ",\"timeout\":0.5},"
                     "{\"code\":\"y\"},"
                     "{\"language\":\"python\",\"version\":\"3\",\"memory_limit\":\"32m\"},"
                     "{\"code\":\"y\",\"limits\":{\"processes\":9,\"cpu_time_ms\":100}}]",
                     REQUEST_BATCH, &submission, &err),
              err);
    clock_real();
    assert_int_equal(submission.created_ms, 123456);
    assert_true(token_is_valid(text_of(submission.token)));
    assert_int_equal(submission.priority, PRIORITY_LOW);
    assert_true(submission.cache_results);
    assert_false(submission.fresh);
    assert_int_equal(submission.tests_len, 7);
    assert_int_equal(submission.programs_len, 3);
    const struct test *tests = submission.tests;
    static const uint32_t programs[] = { 0, 0, 0, 0, 1, 2, 1 };
    static const uint32_t processes[] = {
        7, 7, 7, 7, 64, 64, 9
    }; /* limits are the program's, so not inherited by others */
    static const uint64_t cpu_ms[] = { 2000, 2000, 2000, 500, 2000, 2000, 100 };
    static const uint64_t wall_ms[] = { 3000, 3000, 3000, 1500, 3000, 3000, 1100 };
    static const uint64_t memory_mb[] = { 64, 64, 64, 64, 64, 32, 64 };
    for (size_t i = 0; i < 7; i++) {
        print_message("  element %zu\n", i);
        assert_int_equal(tests[i].element, i);
        assert_int_equal(tests[i].index, 0);
        assert_int_equal(tests[i].program, programs[i]);
        assert_int_equal(tests[i].limits.processes, processes[i]);
        assert_int_equal(tests[i].limits.cpu_us, cpu_ms[i] * 1000);
        assert_int_equal(tests[i].limits.wall_us, wall_ms[i] * 1000);
        assert_int_equal(tests[i].limits.memory_bytes, memory_mb[i] << 20);
    }
    assert_text_equal(tests[0].input, "1");
    assert_text_equal(tests[1].input, "2");
    assert_text_equal(tests[2].input, ""); /* stdin is an element's own */
    assert_int_equal(tests[0].args_len, 1);
    assert_int_equal(tests[1].args_len, 0);
    assert_int_equal(submission.programs[0].files_len, 2);
    assert_text_equal(submission.programs[0].files[0].name, "main.c");
    assert_text_equal(submission.programs[0].files[1].content, "\0");
    assert_int_equal(submission.programs[1].files_len, 1);
    assert_text_equal(submission.programs[2].files[0].name, "main.py");
    assert_text_equal(submission.programs[2].files[0].content, "x");
    submission_done(&submission);
}

static void the_network_is_inherited(void **state)
{
    (void)state;
    struct submission submission;
    struct error err;
    static const char batch[] = "[{" C ",\"network\":\"loopback\",\"tests\":[{},{}]},{},{\"network\":null},"
                                "{\"network\":\"none\"},{\"code\":\"y\"}]";
    static const enum run_network networks[] = { RUN_NETWORK_LOOPBACK, RUN_NETWORK_LOOPBACK, RUN_NETWORK_LOOPBACK,
                                                 RUN_NETWORK_LOOPBACK, RUN_NETWORK_NONE,     RUN_NETWORK_LOOPBACK };

    assert_ok(decode(batch, REQUEST_BATCH, &submission, &err), err);
    assert_int_equal(submission.tests_len, LEN(networks));
    assert_int_equal(submission.programs_len, 2);
    for (size_t i = 0; i < LEN(networks); i++)
        assert_int_equal(submission.tests[i].network, networks[i]);
    submission_done(&submission);

    assert_ok(decode("[{" C ",\"network\":\"loopback\"},{" C "}]", REQUEST_PARALLEL, &submission, &err), err);
    assert_int_equal(submission.tests[0].network, RUN_NETWORK_LOOPBACK);
    assert_int_equal(submission.tests[1].network, RUN_NETWORK_NONE);
    submission_done(&submission);
}

static void assertions_make_another_program(void **state)
{
    (void)state;
    struct submission submission;
    struct error err;
    static const char batch[] = "[{" C ",\"assertions\":true,\"files\":[{\"name\":\"a.h\",\"content\":\"a\"}],"
                                "\"limits\":{\"processes\":3}},{},{\"assertions\":null},{\"assertions\":false},"
                                "{\"code\":\"y\"}]";
    static const uint32_t programs[] = { 0, 0, 0, 1, 2 };

    assert_ok(decode(batch, REQUEST_BATCH, &submission, &err), err);
    assert_int_equal(submission.programs_len, 3);
    for (size_t i = 0; i < LEN(programs); i++) {
        assert_int_equal(submission.tests[i].program, programs[i]);
        assert_int_equal(submission.programs[programs[i]].assertions, programs[i] != 1);
    }
    /* Without assertions it is still the same source, so it inherits its files and limits. */
    assert_int_equal(submission.programs[1].files_len, 2);
    assert_int_equal(submission.tests[3].limits.processes, 3);
    assert_int_equal(submission_version(&submission), 3);
    submission_done(&submission);
    expect_refusal(TEXT("{" C ",\"assertions\":1}"), REQUEST_SINGLE, "assertions", "true or false");
}

static void the_stack_follows_the_memory_limit(void **state)
{
    (void)state;
    struct submission submission;
    struct error err;
    static const char body[] = "{" C ",\"memory_limit\":\"512m\",\"tests\":[{},{\"memory_limit\":\"100m\"},"
                               "{\"limits\":{\"stack_bytes\":8388608}}]}";

    assert_ok(decode(body, REQUEST_SINGLE, &submission, &err), err);
    assert_int_equal(submission.tests[0].limits.stack_bytes, 512 << 20);
    assert_int_equal(submission.tests[1].limits.stack_bytes, 100 << 20);
    assert_int_equal(submission.tests[2].limits.stack_bytes, 8 << 20);
    submission_done(&submission);
}

static void expect_source(const char *language, const char *code, const char *expected)
{
    char body[300];
    struct submission submission;
    struct error err;

    (void)snprintf(body, sizeof body,
                   "{\"language\":\"%s\",\"version\":\"*\",\"code\":\"%s\",\"files\":["
                   "{\"name\":\"d/a.%s\",\"content\":\"%s\"},{\"name\":\"a.txt\",\"content\":\"\\ufeff1\\r\\n\"}]}",
                   language, code, strcmp(language, "bash") == 0 ? "sh" : "c", code);
    assert_ok(decode(body, REQUEST_SINGLE, &submission, &err), err);
    assert_string_equal(submission.programs[0].files[0].content.at, expected);
    assert_int_equal(submission.programs[0].files[0].content.len, strlen(expected));
    assert_int_equal(submission.programs[0].files[1].content.len, strlen(expected));
    assert_text_equal(submission.programs[0].files[2].content, "\xEF\xBB\xBF"
                                                               "1\r\n"); /* no source */
    submission_done(&submission);
}

static void a_source_is_taken_as_editors_save_it(void **state)
{
    (void)state;
    expect_source("c", "\\ufeffa\\r\\n\\ufeff", "a\r\n\xEF\xBB\xBF");
    expect_source("c", "\\ufeff", "");
    expect_source("bash", "\\ufeffa\\r\\nb\\r\\r\\nc\\rd\\r", "a\nb\r\nc\rd\r");
}

static void any_other_network_is_refused(void **state)
{
    (void)state;
    static const char *const values[] = { "\"\"", "\"Loopback\"",   "\"host\"",           "true",
                                          "1",    "[\"loopback\"]", "\"loopback\\u0000\"" };
    for (size_t i = 0; i < LEN(values); i++) {
        char body[200];
        (void)snprintf(body, sizeof body, "{" C ",\"network\":%s}", values[i]);
        expect_refusal(text_of(body), REQUEST_SINGLE, "network", "\"none\" or \"loopback\"");
    }
}

static void equal_programs_are_kept_once(void **state)
{
    (void)state;
    struct submission submission;
    struct error err;

    assert_ok(decode("[{" C "},{\"language\":\"gcc\",\"version\":\"11\",\"code\":\"x\"},"
                     "{\"language\":\"c\",\"version\":\"17\",\"code\":\"x\"},{" C
                     ",\"files\":[{\"name\":\"a\",\"content\":\"\"}]},"
                     "{\"language\":\"c\",\"version\":\"17\",\"code\":\"x\"},{" C
                     ",\"files\":[{\"content\":\"\",\"name\":\"a\"}]}]",
                     REQUEST_PARALLEL, &submission, &err),
              err);
    static const uint32_t programs[] = { 0, 0, 1, 2, 1, 2 };
    assert_int_equal(submission.programs_len, 3);
    for (size_t i = 0; i < LEN(programs); i++)
        assert_int_equal(submission.tests[i].program, programs[i]);
    submission_done(&submission);
}

static void tests_inherit_from_their_element(void **state)
{
    (void)state;
    struct submission submission;
    struct error err;

    assert_ok(
        decode("{" C
               ",\"stdin\":\"in\",\"args\":[\"a\",\"b\"],\"expected_output\":\"out\",\"timeout\":1,\"base64\":true,"
               "\"tests\":[{},{\"stdin\":\"\",\"args\":[],\"expected_output\":\"\",\"base64\":false},"
               "{\"stdin_base64\":\"AP8=\",\"timeout\":4,\"limits\":{\"wall_time_ms\":5000}},"
               "{\"limits\":{\"wall_time_ms\":9000}},{\"memory_limit\":1048576}]}",
               REQUEST_SINGLE, &submission, &err),
        err);
    const struct test *tests = submission.tests;
    assert_int_equal(submission.tests_len, 5);
    assert_int_equal(submission.priority, PRIORITY_NORMAL);
    assert_false(submission.cache_results);
    assert_text_equal(tests[0].input, "in");
    assert_text_equal(tests[0].expected, "out");
    assert_int_equal(tests[0].args_len, 2);
    assert_true(tests[0].wants_base64);
    assert_text_equal(tests[1].input, "");
    assert_true(tests[1].has_expected);
    assert_text_equal(tests[1].expected, "");
    assert_int_equal(tests[1].args_len, 0);
    assert_false(tests[1].wants_base64);
    assert_text_equal(tests[2].input, "\0\xff");
    assert_int_equal(tests[2].limits.cpu_us, 4000000);
    assert_int_equal(tests[2].limits.wall_us, 5000000); /* limits beats what follows from timeout */
    assert_int_equal(tests[3].limits.cpu_us, 1000000);
    assert_int_equal(tests[3].limits.wall_us, 9000000);
    assert_int_equal(tests[4].limits.memory_bytes, 1 << 20);
    assert_int_equal(tests[4].index, 4);
    assert_int_equal(tests[4].element, 0);
    submission_done(&submission);

    assert_ok(decode("{" C "}", REQUEST_SINGLE, &submission, &err), err);
    assert_false(submission.tests[0].has_expected);
    assert_int_equal(submission.tests[0].limits.cpu_us, 5000000);
    submission_done(&submission);
}

static void own_files_make_another_program(void **state)
{
    (void)state;
    struct submission submission;
    struct error err;

    assert_ok(decode("[{" C ",\"files\":[{\"name\":\"a\",\"content\":\"1\"}],\"limits\":{\"processes\":7}},"
                     "{\"files\":[{\"name\":\"a\",\"content\":\"2\"}]},{\"files\":[]},{}]",
                     REQUEST_BATCH, &submission, &err),
              err);
    assert_int_equal(submission.programs_len, 3);
    assert_text_equal(submission.programs[1].files[0].content, "x");
    assert_text_equal(submission.programs[1].files[1].content, "2");
    assert_int_equal(submission.programs[2].files_len, 1);
    assert_int_equal(submission.tests[3].program, 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(submission.tests[i].limits.processes, 7);
    submission_done(&submission);
}

static void cpu_time_sets_the_wall_time_unless_that_is_given(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        uint64_t cpu_ms, wall_ms;
    } rows[] = {
        { "{" C ",\"limits\":{\"cpu_time_ms\":10000}}", 10000, 15000 },
        { "{" C ",\"limits\":{\"cpu_time_ms\":10000,\"wall_time_ms\":11000}}", 10000, 11000 },
        { "{" C ",\"timeout\":2,\"limits\":{\"cpu_time_ms\":1000}}", 1000, 3000 },
        { "{" C ",\"timeout\":2,\"limits\":{\"wall_time_ms\":9000}}", 2000, 9000 },
        { "{" C ",\"limits\":{\"wall_time_ms\":900}}", 5000, 900 },
        { "{" C ",\"timeout\":60}", 60000, 70000 }, /* what follows is cut to the ceiling, not refused */
    };
    config.wall_ms_max = 70000;
    for (size_t i = 0; i < LEN(rows); i++) {
        struct submission submission;
        struct error err;

        print_message("  %s\n", rows[i].body);
        assert_ok(decode(rows[i].body, REQUEST_SINGLE, &submission, &err), err);
        assert_int_equal(submission.tests[0].limits.cpu_us, rows[i].cpu_ms * 1000);
        assert_int_equal(submission.tests[0].limits.wall_us, rows[i].wall_ms * 1000);
        submission_done(&submission);
    }
    config.wall_ms_max = 120000;
}

static void a_version_that_nothing_serves_is_refused(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        { "{\"language\":\"c\",\"version\":3.9,\"code\":\"x\"}", "version", "or \"latest\"; got \"3.9\"" },
        { "{\"language\":\"c\",\"version\":true,\"code\":\"x\"}", "version",
          "expected a version, or \"latest\", got true" },
        { "{\"language\":\"c\",\"version\":[17],\"code\":\"x\"}", "version", "got an array" },
        { "{\"language\":\"kotlin\",\"version\":\"99.9\",\"code\":\"x\"}", "version",
          "expected a version of kotlin: " },
        { "{\"language\":\"c\",\"version\":\"77\",\"code\":\"x\"}", "version",
          "expected a version of c: 12 (also 5, 6, 7" },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        expect_refusal(text_of(rows[i][0]), REQUEST_SINGLE, rows[i][1], rows[i][2]);
}

static void a_version_may_have_many_forms(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"language\":\"python\",\"version\":\"3\",\"code\":\"x\"}",
        "{\"language\":\"python\",\"version\":3,\"code\":\"x\"}",
        "{\"language\":\"python\",\"version\":3.11,\"code\":\"x\"}",
        "{\"language\":\"python\",\"version\":\" V3.11.2\\n\",\"code\":\"x\"}",
        "{\"language\":\" Python \",\"version\":\"Latest\",\"code\":\"x\"}",
        "{\"language\":\"python\",\"version\":\"\",\"code\":\"x\"}",
        "{\"language\":\"python\",\"version\":null,\"code\":\"x\"}",
        "{\"language\":\"python\",\"code\":\"x\"}",
        "{\"language\":\"Python (3.11.2)\",\"code\":\"x\"}",
        "{\"language\":\"python3.11\",\"version\":\"*\",\"code\":\"x\"}",
    };
    for (size_t i = 0; i < LEN(bodies); i++) {
        struct submission submission;
        struct error err;

        print_message("  %s\n", bodies[i]);
        assert_ok(decode(bodies[i], REQUEST_SINGLE, &submission, &err), err);
        assert_text_equal(submission.programs[0].language->id, "python");
        submission_done(&submission);
    }
}

static void a_language_that_is_not_installed_is_refused_if_required(void **state)
{
    (void)state;
    struct submission submission;
    struct error err;

    for (size_t i = 0; i < languages.len; i++)
        languages.list[i].available = strcmp(languages.list[i].id.at, "bash") == 0;
    assert_ok(decode("{" C "}", REQUEST_SINGLE, &submission, &err), err);
    submission_done(&submission);
    languages.require_available = true;
    expect_refusal(TEXT("{" C "}"), REQUEST_SINGLE, "language", "language c is not installed on this server");
    expect_refusal(TEXT("{\"language\":\"x\",\"version\":\"1\",\"code\":\"x\"}"), REQUEST_SINGLE, "language",
                   "expected one of bash, got \"x\"");
    languages.require_available = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invalid_json_is_reported_with_its_position),
        cmocka_unit_test(what_the_parser_would_build_is_bounded),
        cmocka_unit_test(a_mistake_is_reported_with_its_field),
        cmocka_unit_test(counts_are_bounded),
        cmocka_unit_test(later_elements_inherit_from_the_first),
        cmocka_unit_test(equal_programs_are_kept_once),
        cmocka_unit_test(the_network_is_inherited),
        cmocka_unit_test(assertions_make_another_program),
        cmocka_unit_test(the_stack_follows_the_memory_limit),
        cmocka_unit_test(a_source_is_taken_as_editors_save_it),
        cmocka_unit_test(a_version_that_nothing_serves_is_refused),
        cmocka_unit_test(a_version_may_have_many_forms),
        cmocka_unit_test(any_other_network_is_refused),
        cmocka_unit_test(tests_inherit_from_their_element),
        cmocka_unit_test(own_files_make_another_program),
        cmocka_unit_test(cpu_time_sets_the_wall_time_unless_that_is_given),
        cmocka_unit_test(a_language_that_is_not_installed_is_refused_if_required),
    };
    request_init();
    return cmocka_run_group_tests_name("request_json", tests, set_up, tear_down);
}
