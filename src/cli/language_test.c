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
#include "model/version.h"

#define FIELD_BYTES_MAX (64u << 10)
#define QUOTED 200 /* bytes of a program's output that a failure quotes */
#define LIVE_DATA_MEMORY "256m"
#define LIVE_DATA_PERCENT 80u
#define PACKAGE_PLACEHOLDER "{package}"

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
    [LANGUAGE_TEST_FILE2] = { "file2", false },        [LANGUAGE_TEST_FILE2_CODE] = { "file2_code", true },
    [LANGUAGE_TEST_FILE3] = { "file3", false },        [LANGUAGE_TEST_FILE3_CODE] = { "file3_code", true },
    [LANGUAGE_TEST_SINCE] = { "since", false },        [LANGUAGE_TEST_EXCEPT] = { "except", false },
    [LANGUAGE_TEST_PERCENT] = { "percent", false },    [LANGUAGE_TEST_NAMES] = { "names", true },
    [LANGUAGE_TEST_FILE4] = { "file4", false },        [LANGUAGE_TEST_FILE4_CODE] = { "file4_code", true },
    [LANGUAGE_TEST_ONLY] = { "only", false },
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
    const struct text names[] = { language_base_id(language->id), language->of };

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

static const char *text_or(const struct language_test *language_test, enum language_test_field field,
                           const char *otherwise)
{
    return language_test->has[field] && language_test->fields[field].len > 0 ? language_test->fields[field].at
                                                                             : otherwise;
}

/* True if `words` contains the word. */
static bool has_word(const char *words, struct text word)
{
    for (words += strspn(words, " "); *words != '\0'; words += strspn(words, " ")) {
        size_t len = strcspn(words, " ");
        if (text_equal((struct text){ words, len }, word))
            return true;
        words += len;
    }
    return false;
}

static int check_applies(const struct language_test *language_test, const struct language *language, bool *ret,
                         struct error *err)
{
    struct version since, own;

    *ret = !has_word(text_or(language_test, LANGUAGE_TEST_EXCEPT, ""), language->id) &&
           (!language_test->has[LANGUAGE_TEST_ONLY] ||
            has_word(text_or(language_test, LANGUAGE_TEST_ONLY, ""), language->id));
    if (!language_test->has[LANGUAGE_TEST_SINCE])
        return 0;
    if (!version_parse(text_of(text_or(language_test, LANGUAGE_TEST_SINCE, "")), &since))
        return error_set(err, ERROR_SETUP, 0, "[%s] since: expected a version such as 3.12", language_test->name);
    *ret &= version_parse(language->version, &own) && version_compare_minor(&own, &since) >= 0;
    return 0;
}

/* The input and the expected output are the MiB of data that the program has to hold. */
static int set_live_data(struct language_test *language_test, struct error *err)
{
    uint64_t memory_bytes, percent = LIVE_DATA_PERCENT;
    const char *asked = text_or(language_test, LANGUAGE_TEST_PERCENT, "");

    if (!language_test->has[LANGUAGE_TEST_MEMORY] &&
        buf_append_text(&language_test->fields[LANGUAGE_TEST_MEMORY], TEXT(LIVE_DATA_MEMORY), err) < 0)
        return -1;
    language_test->has[LANGUAGE_TEST_MEMORY] = true;
    if ((asked[0] != '\0' && (text_parse_u64(text_of(asked), &percent) < 0 || percent > 100)) ||
        limits_parse_memory(text_or(language_test, LANGUAGE_TEST_MEMORY, ""), &memory_bytes, err) < 0)
        return error_set(err, ERROR_SETUP, 0,
                         "[live_data]: expected a percent of at most 100 and a memory such as 256m");
    static const enum language_test_field both[] = { LANGUAGE_TEST_STDIN, LANGUAGE_TEST_STDOUT };
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        if (language_test->has[both[i]])
            return error_set(err, ERROR_SETUP, 0, "[live_data]: expected no stdin and no stdout");
        language_test->has[both[i]] = true;
        if (buf_printf(&language_test->fields[both[i]], err, "%" PRIu64 "\n", (memory_bytes >> 20) * percent / 100) < 0)
            return -1;
    }
    return 0;
}

/* Drops what is not for this language, and takes [packages] out of the list. */
static int sort_out(struct language_tests *language_tests, const struct language *language, struct error *err)
{
    size_t kept = 0;

    for (size_t i = 0; i < language_tests->len; i++) {
        struct language_test language_test = language_tests->list[i];
        bool applies, is_packages = strcmp(language_test.name, "packages") == 0;
        if (check_applies(&language_test, language, &applies, err) < 0)
            return -1;
        if (applies && is_packages) {
            language_tests->packages = malloc(sizeof language_test);
            if (language_tests->packages == NULL)
                return error_set(err, ERROR_BUSY, errno, "read the tests of %s", language->id.at);
            *language_tests->packages = language_test;
        } else if (applies) {
            if (strcmp(language_test.name, "live_data") == 0 && set_live_data(&language_tests->list[i], err) < 0)
                return -1;
            language_tests->list[kept++] = language_tests->list[i];
        } else {
            language_test_done(&language_test);
        }
        if (kept <= i)
            language_tests->list[i] = (struct language_test){ 0 };
    }
    language_tests->len = kept;
    return 0;
}

int language_tests_read(const struct config *config, const struct language *language, struct language_tests *ret,
                        struct error *err)
{
    struct language_tests language_tests = { .list = calloc(LANGUAGE_TEST_CASES_MAX, sizeof *language_tests.list) };

    if (language_tests.list == NULL)
        return error_set(err, ERROR_BUSY, errno, "read the tests of %s", language->id.at);
    if (add_hello(language, &language_tests, err) < 0 || read_sections(config, language, &language_tests, err) < 0 ||
        sort_out(&language_tests, language, err) < 0) {
        language_tests_done(&language_tests);
        return -1;
    }
    *ret = language_tests;
    return 0;
}

void language_test_done(struct language_test *language_test)
{
    for (size_t i = 0; i < LANGUAGE_TEST_FIELD_COUNT_; i++)
        buf_done(&language_test->fields[i]);
}

void language_tests_done(struct language_tests *language_tests)
{
    for (size_t i = 0; i < language_tests->len; i++)
        language_test_done(&language_tests->list[i]);
    if (language_tests->packages != NULL)
        language_test_done(language_tests->packages);
    free(language_tests->packages);
    free(language_tests->list);
    *language_tests = (struct language_tests){ 0 };
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

static json_t *files_of(const struct language_test *language_test)
{
    static const enum language_test_field names[] = { LANGUAGE_TEST_FILE, LANGUAGE_TEST_FILE2, LANGUAGE_TEST_FILE3,
                                                      LANGUAGE_TEST_FILE4 };
    json_t *files = json_array();

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (language_test->has[names[i]])
            (void)json_array_append_new(files, json_pack("{s:s, s:s}", "name", text_or(language_test, names[i], ""),
                                                         "content", text_or(language_test, names[i] + 1, "")));
    return files;
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
    (void)json_object_set_new(request, "files", files_of(language_test));
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

/* What else is promised: hello leaves nothing but its output, and live data are counted. */
static int compare_more(const struct language_test *language_test, const struct result *what, struct error *err)
{
    if (strcmp(language_test->name, "hello") == 0 && (what->errors.len > 0 || what->compile_output.len > 0)) {
        struct text more = what->errors.len > 0 ? what->errors : what->compile_output;
        return error_set(err, ERROR_SANDBOX, 0, "hello: expected no %s, got %.*s",
                         what->errors.len > 0 ? "stderr" : "compile_output", quoted_len(more), more.at);
    }
    uint64_t mib = strtoull(text_or(language_test, LANGUAGE_TEST_STDIN, "0"), NULL, 10);
    if (strcmp(language_test->name, "live_data") == 0 && what->stats.memory_bytes < mib << 20)
        return error_set(err, ERROR_SANDBOX, 0, "live_data: %" PRIu64 " MiB of data, but memory_bytes is %" PRIu64, mib,
                         what->stats.memory_bytes);
    return 0;
}

int language_test_compare(const struct language_test *language_test, const struct result *what, struct error *err)
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
    return compare_more(language_test, what, err);
}

int language_test_submission(const struct config *config, const struct language *language,
                             const struct language_test *language_test, struct submission *ret, struct error *err)
{
    const struct languages only = languages_only(language);
    json_t *request = request_of(language, language_test);
    char *text = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);

    json_decref(request);
    if (text == NULL)
        return error_set(err, ERROR_SETUP, 0, "%s is not UTF-8 text", language_test->name);
    int outcome = request_decode(text_of(text), REQUEST_SINGLE, &only, TEXT("*"), config, ret, err);
    free(text);
    return outcome < 0 ? error_within(err, "%s", language_test->name) : 0;
}

int language_test_run(struct local_run *local_run, const struct config *config, const struct language *language,
                      const struct language_test *language_test, struct language_test_stats *ret, struct error *err)
{
    struct submission submission;
    struct local_result result;

    *ret = (struct language_test_stats){ 0 };
    if (language_test_submission(config, language, language_test, &submission, err) < 0)
        return -1;
    int outcome = local_run_test(local_run, &submission, &result, err);
    if (outcome == 0) {
        outcome = language_test_compare(language_test, &result.result, err);
        if (result.has_outcome)
            *ret = (struct language_test_stats){ .compile_us = result.result.compile_us,
                                                 .wall_us = result.result.stats.wall_us,
                                                 .memory_bytes = result.result.stats.memory_bytes };
        local_result_done(&result);
    }
    submission_done(&submission);
    return outcome;
}

/* Appends `code` with the name in the place of each placeholder. */
static int fill_package(struct buf *out, const char *code, struct text name, struct error *err)
{
    const char *found;

    for (; (found = strstr(code, PACKAGE_PLACEHOLDER)) != NULL; code = found + strlen(PACKAGE_PLACEHOLDER))
        if (buf_append(out, code, (size_t)(found - code), err) < 0 || buf_append_text(out, name, err) < 0)
            return -1;
    return buf_append_text(out, text_of(code), err);
}

int language_test_of_package(const struct language_test *packages, struct text name, struct language_test *ret,
                             struct error *err)
{
    struct language_test language_test = { 0 };
    int outcome = 0;

    (void)snprintf(language_test.name, sizeof language_test.name, "%.*s", TEXT_ARG(name));
    for (enum language_test_field i = 0; i < LANGUAGE_TEST_FIELD_COUNT_ && outcome == 0; i++) {
        buf_init(&language_test.fields[i], FIELD_BYTES_MAX);
        language_test.has[i] = packages->has[i];
        outcome = fill_package(&language_test.fields[i], text_or(packages, i, ""), name, err);
    }
    if (outcome < 0)
        language_test_done(&language_test);
    else
        *ret = language_test;
    return outcome;
}
