/* language_test: see the header. */
#include "cli/language_test.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "codec/request_json.h"
#include "config/ini_file.h"

#define FIELD_BYTES_MAX (64u << 10)
#define QUOTED 200 /* bytes of a program's output that a failure quotes */
#define TIMED_RUNS 7
#define PAUSE_US 200000u

static const struct {
    const char *name;
    bool is_block;
} fields[] = {
    [LANGUAGE_TEST_CODE] = { "code", true },           [LANGUAGE_TEST_STDIN] = { "stdin", true },
    [LANGUAGE_TEST_STDOUT] = { "stdout", true },       [LANGUAGE_TEST_STDERR] = { "stderr", false },
    [LANGUAGE_TEST_ARGS] = { "args", true },           [LANGUAGE_TEST_FILE] = { "file", false },
    [LANGUAGE_TEST_FILE_CODE] = { "file_code", true }, [LANGUAGE_TEST_VERDICT] = { "verdict", false },
    [LANGUAGE_TEST_EXIT] = { "exit", false },          [LANGUAGE_TEST_MEMORY] = { "memory", false },
    [LANGUAGE_TEST_TIMEOUT] = { "timeout", false },    [LANGUAGE_TEST_NETWORK] = { "network", false },
    [LANGUAGE_TEST_STACK] = { "stack", false },        [LANGUAGE_TEST_ASSERTIONS] = { "assertions", false },
};
static_assert(sizeof fields / sizeof *fields == LANGUAGE_TEST_FIELD_COUNT_, "every field has a name");

static struct language_test *add_language_test(struct language_tests *language_tests, const char *name,
                                               struct error *err)
{
    if (language_tests->len == LANGUAGE_TEST_CASES_MAX) {
        (void)error_set(err, ERROR_SETUP, 0, "more than %d sections", LANGUAGE_TEST_CASES_MAX - 1);
        return NULL;
    }
    struct language_test *language_test = &language_tests->list[language_tests->len];
    if (snprintf(language_test->name, sizeof language_test->name, "%s", name) >= (int)sizeof language_test->name ||
        name[0] == '\0') {
        (void)error_set(err, ERROR_SETUP, 0, "expected a section with a name of at most %zu bytes",
                        sizeof language_test->name - 1);
        return NULL;
    }
    for (size_t i = 0; i < LANGUAGE_TEST_FIELD_COUNT_; i++)
        buf_init(&language_test->fields[i], FIELD_BYTES_MAX);
    language_tests->len++;
    return language_test;
}

static int add_line(struct language_test *language_test, enum language_test_field field, const char *line,
                    struct error *err)
{
    struct buf *buf = &language_test->fields[field];

    if (!fields[field].is_block)
        return buf_append_text(buf, text_of(line), err);
    return buf_printf(buf, err, "%s\n", line[0] == '|' ? line + 1 : line);
}

static int take_entry(void *context, const struct ini_entry *entry, struct error *err)
{
    struct language_tests *language_tests = context;
    struct language_test *language_test =
        language_tests->len > 0 ? &language_tests->list[language_tests->len - 1] : NULL;
    enum language_test_field field = 0;

    if (language_test == NULL || strcmp(language_test->name, entry->section) != 0) {
        for (size_t i = 0; i < language_tests->len; i++)
            if (strcmp(language_tests->list[i].name, entry->section) == 0)
                return error_set(err, ERROR_SETUP, 0, "duplicate section [%s]", entry->section);
        language_test = add_language_test(language_tests, entry->section, err);
    }
    if (language_test == NULL)
        return -1;
    while (field < LANGUAGE_TEST_FIELD_COUNT_ && strcmp(fields[field].name, entry->key) != 0)
        field++;
    if (field == LANGUAGE_TEST_FIELD_COUNT_)
        return error_set(err, ERROR_SETUP, 0, "unknown key \"%.40s\"", entry->key);
    if (language_test->has[field] && !entry->continues)
        return error_set(err, ERROR_SETUP, 0, "duplicate key %s", entry->key);
    if (entry->continues && !fields[field].is_block)
        return error_set(err, ERROR_SETUP, 0, "%s: expected one line", entry->key);
    language_test->has[field] = true;
    /* With "code =" alone on its line the block begins on the next. */
    if (!entry->continues && entry->value[0] == '\0')
        return 0;
    return add_line(language_test, field, entry->value, err);
}

static int add_hello(const struct language *language, struct language_tests *language_tests, struct error *err)
{
    struct language_test *hello = add_language_test(language_tests, "hello", err);
    const struct text texts[] = { [LANGUAGE_TEST_CODE] = language->hello_code,
                                  [LANGUAGE_TEST_STDIN] = language->hello_stdin,
                                  [LANGUAGE_TEST_STDOUT] = language->hello_stdout };

    if (hello == NULL)
        return -1;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        hello->has[i] = true;
        if (buf_append_text(&hello->fields[i], texts[i], err) < 0)
            return -1;
    }
    return 0;
}

static int read_sections(const struct config *config, const struct language *language,
                         struct language_tests *language_tests, struct error *err)
{
    const struct text names[] = { language->id, language->of };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4096];
        if (names[i].len == 0 || snprintf(path, sizeof path, "%s/tests/%.*s.conf", config->languages,
                                          TEXT_ARG(names[i])) >= (int)sizeof path)
            continue;
        if (access(path, F_OK) == 0 || errno != ENOENT)
            return ini_file_read(path, take_entry, language_tests, err);
    }
    return 0;
}

int language_tests_read(const struct config *config, const struct language *language, struct language_tests *ret,
                        struct error *err)
{
    struct language_tests language_tests = { .list = calloc(LANGUAGE_TEST_CASES_MAX, sizeof *language_tests.list) };

    if (language_tests.list == NULL)
        return error_set(err, ERROR_BUSY, errno, "read the tests of %s", language->id.at);
    if (add_hello(language, &language_tests, err) < 0 || read_sections(config, language, &language_tests, err) < 0) {
        language_tests_done(&language_tests);
        return -1;
    }
    *ret = language_tests;
    return 0;
}

void language_tests_done(struct language_tests *language_tests)
{
    for (size_t i = 0; i < language_tests->len; i++)
        for (size_t k = 0; k < LANGUAGE_TEST_FIELD_COUNT_; k++)
            buf_done(&language_tests->list[i].fields[k]);
    free(language_tests->list);
    *language_tests = (struct language_tests){ 0 };
}

static const char *text_or(const struct language_test *language_test, enum language_test_field field,
                           const char *otherwise)
{
    return language_test->has[field] && language_test->fields[field].len > 0 ? language_test->fields[field].at
                                                                             : otherwise;
}

static json_t *args_of(const struct language_test *language_test)
{
    json_t *args = json_array();

    for (const char *at = text_or(language_test, LANGUAGE_TEST_ARGS, ""); *at != '\0';) {
        size_t len = strcspn(at, "\n");
        (void)json_array_append_new(args, json_stringn(at, len));
        at += len + (at[len] == '\n');
    }
    return args;
}

/* The request that a client would send. */
static json_t *request_of(const struct language *language, const struct language_test *language_test)
{
    uint64_t stack_bytes = 0;
    struct error ignored;
    json_t *request =
        json_pack("{s:s%, s:s%, s:s, s:s, s:o}", "language", language->id.at, language->id.len, "version",
                  language->version.at, language->version.len, "code", text_or(language_test, LANGUAGE_TEST_CODE, " "),
                  "stdin", text_or(language_test, LANGUAGE_TEST_STDIN, ""), "args", args_of(language_test));

    if (request == NULL)
        return NULL;
    if (language_test->has[LANGUAGE_TEST_STDOUT])
        (void)json_object_set_new(request, "expected_output",
                                  json_string(text_or(language_test, LANGUAGE_TEST_STDOUT, "")));
    if (language_test->has[LANGUAGE_TEST_FILE])
        (void)json_object_set_new(request, "files",
                                  json_pack("[{s:s, s:s}]", "name", text_or(language_test, LANGUAGE_TEST_FILE, ""),
                                            "content", text_or(language_test, LANGUAGE_TEST_FILE_CODE, "")));
    if (language_test->has[LANGUAGE_TEST_MEMORY])
        (void)json_object_set_new(request, "memory_limit",
                                  json_string(text_or(language_test, LANGUAGE_TEST_MEMORY, "")));
    if (language_test->has[LANGUAGE_TEST_ASSERTIONS])
        (void)json_object_set_new(
            request, "assertions",
            json_boolean(strcmp(text_or(language_test, LANGUAGE_TEST_ASSERTIONS, ""), "yes") == 0));
    if (language_test->has[LANGUAGE_TEST_STACK]) {
        /* What is no size is refused as a limit of 0. */
        (void)limits_parse_memory(text_or(language_test, LANGUAGE_TEST_STACK, ""), &stack_bytes, &ignored);
        (void)json_object_set_new(request, "limits", json_pack("{s:I}", "stack_bytes", (json_int_t)stack_bytes));
    }
    if (language_test->has[LANGUAGE_TEST_NETWORK])
        (void)json_object_set_new(request, "network", json_string(text_or(language_test, LANGUAGE_TEST_NETWORK, "")));
    if (language_test->has[LANGUAGE_TEST_TIMEOUT])
        (void)json_object_set_new(request, "timeout",
                                  json_real(strtod(text_or(language_test, LANGUAGE_TEST_TIMEOUT, "0"), NULL)));
    return request;
}

static int quoted_len(struct text text)
{
    return (int)(text.len < QUOTED ? text.len : QUOTED);
}

static bool contains(struct text text, const char *part)
{
    return text.len > 0 && memmem(text.at, text.len, part, strlen(part)) != NULL;
}

static int compare(const struct language_test *language_test, const struct result *what, struct error *err)
{
    const char *verdict = text_or(language_test, LANGUAGE_TEST_VERDICT, "accepted");
    const char *part = text_or(language_test, LANGUAGE_TEST_STDERR, "");
    int code = result_exit_code(what);

    if (strcmp(verdict_name(what->verdict), verdict) != 0)
        return error_set(err, ERROR_SANDBOX, 0, "%s: expected %s, got %s (%.*s) %.*s%s%.*s", language_test->name,
                         verdict, verdict_name(what->verdict), TEXT_ARG(what->message), quoted_len(what->errors),
                         what->errors.at != NULL ? what->errors.at : "",
                         what->verdict == VERDICT_WRONG_ANSWER ? " stdout: " : "",
                         what->verdict == VERDICT_WRONG_ANSWER ? quoted_len(what->output) : 0,
                         what->output.at != NULL ? what->output.at : "");
    if (!contains(what->errors, part) && part[0] != '\0')
        return error_set(err, ERROR_SANDBOX, 0, "%s: stderr does not contain \"%.60s\": %.*s", language_test->name,
                         part, quoted_len(what->errors), what->errors.at != NULL ? what->errors.at : "");
    if (language_test->has[LANGUAGE_TEST_EXIT] &&
        code != (int)strtol(text_or(language_test, LANGUAGE_TEST_EXIT, "0"), NULL, 10))
        return error_set(err, ERROR_SANDBOX, 0, "%s: expected exit status %s, got %d", language_test->name,
                         text_or(language_test, LANGUAGE_TEST_EXIT, "0"), code);
    return 0;
}

/* Decodes the request as a server would that has only this language.  The caller owns *ret. */
static int submission_of(const struct config *config, const struct language *language,
                         const struct language_test *language_test, struct submission *ret, struct error *err)
{
    const struct languages only = languages_only(language);
    json_t *request = request_of(language, language_test);
    char *text = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);

    json_decref(request);
    if (text == NULL)
        return error_set(err, ERROR_SETUP, 0, "%s is not UTF-8 text", language_test->name);
    int outcome = request_decode(text_of(text), REQUEST_SINGLE, &only, config, ret, err);
    free(text);
    return outcome < 0 ? error_within(err, "%s", language_test->name) : 0;
}

int language_test_run(struct local_run *local_run, const struct config *config, const struct language *language,
                      const struct language_test *language_test, struct language_test_stats *ret, struct error *err)
{
    struct submission submission;
    struct local_result result;

    *ret = (struct language_test_stats){ 0 };
    if (submission_of(config, language, language_test, &submission, err) < 0)
        return -1;
    int outcome = local_run_test(local_run, &submission, &result, err);
    if (outcome == 0) {
        outcome = compare(language_test, &result.result, err);
        if (result.has_outcome)
            *ret = (struct language_test_stats){ .compile_us = result.result.compile_us,
                                                 .wall_us = result.result.stats.wall_us,
                                                 .memory_bytes = result.result.stats.memory_bytes };
        local_result_done(&result);
    }
    submission_done(&submission);
    return outcome;
}

static int compare_times(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return (one > other) - (one < other);
}

static int take_times(struct local_run *local_run, const struct submission *submission,
                      const struct local_result *first, uint64_t times[static TIMED_RUNS], struct error *err)
{
    uint64_t pause_us = PAUSE_US;

    for (size_t i = 0; i < TIMED_RUNS; i++) {
        enum verdict verdict;
        (void)usleep((useconds_t)pause_us);
        if (local_run_again(local_run, submission, first, &times[i], &verdict, err) < 0)
            return -1;
        if (verdict != VERDICT_ACCEPTED)
            return error_set(err, ERROR_SANDBOX, 0, "hello: the verdict of a repeated run is %s",
                             verdict_name(verdict));
        pause_us = times[i] > PAUSE_US ? times[i] : PAUSE_US;
    }
    qsort(times, TIMED_RUNS, sizeof times[0], compare_times);
    return 0;
}

/* Bisects between 0 and the limit of the language, which suffices. */
static uint64_t find_smallest(struct local_run *local_run, struct submission *submission,
                              const struct local_result *first)
{
    uint64_t *limit = &submission->tests[0].limits.memory_bytes, enough = *limit >> 20, too_little = 0;

    while (too_little + 1 < enough) {
        uint64_t tried = (too_little + enough) / 2, took_us;
        enum verdict verdict;
        struct error err;
        *limit = tried << 20;
        if (local_run_again(local_run, submission, first, &took_us, &verdict, &err) == 0 && verdict == VERDICT_ACCEPTED)
            enough = tried;
        else
            too_little = tried;
    }
    return enough << 20;
}

int language_test_measure(struct local_run *local_run, const struct config *config, const struct language *language,
                          const struct language_test *hello, struct language_test_measures *ret, struct error *err)
{
    struct submission submission;
    struct local_result first;
    uint64_t times[TIMED_RUNS];

    if (submission_of(config, language, hello, &submission, err) < 0)
        return -1;
    int outcome = local_run_test(local_run, &submission, &first, err);
    if (outcome == 0) {
        outcome = compare(hello, &first.result, err);
        if (outcome == 0)
            outcome = take_times(local_run, &submission, &first, times, err);
        if (outcome == 0)
            *ret = (struct language_test_measures){ .hello_us = times[TIMED_RUNS / 2],
                                                    .smallest_bytes = find_smallest(local_run, &submission, &first) };
        local_result_done(&first);
    }
    submission_done(&submission);
    return outcome;
}
