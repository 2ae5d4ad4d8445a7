/*
 * submission_json: the format of stored submissions.
 *
 *   {"v":1,"token":T,"created_ms":N,"priority":"normal","client":NAME,"share":true,"fresh":true,"cache":true,
 *    "programs":[{"language":ID,"version":V,"assertions":true,"files":[[NAME,BYTES],...]},...],
 *    "tests":[{"p":program,"e":element,"i":index,"in":BYTES,"args":[...],"want":BYTES,"b64":true,
 *              "net":"loopback","same":N,"limits":[...]},...]}
 *
 * "limits" has a number for each line of LIMITS_LIST, in its order and in the units of its fields.
 *
 * BYTES is a string if the bytes are UTF-8 (which may contain NUL), else {"b64":"..."}.  "client" is written only if
 * there is one; "share", "fresh" and "cache" only if they are true.  A build that knows no "client" ignores it.
 * A test omits what is empty or false, and limits equal to those of the test before: in a large batch most are.
 * "same" is a sum of 1, 2 and 4: the input, the arguments or the expected output are those of the test before.  So
 * what the tests of a batch inherit is stored once.
 *
 * Version 2 added "net" and "same", version 3 "assertions", which is written only if it is true.
 */
#include "codec/submission_json.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>

#include "base/base64.h"
#include "base/json_write.h"

#define SAME_BYTES_MIN 1024 /* shorter texts are repeated, so that a small batch keeps version 1 */
#define TESTS_MAX 100000
#define FILES_MAX 4096
#define FIRST_LIMITS 9 /* the numbers that every version has stored */

static int write_bytes(struct buf *out, struct text bytes, struct error *err)
{
    if (text_is_utf8(bytes))
        return json_write_string(out, bytes, NULL, err);
    if (buf_append_text(out, TEXT("{\"b64\":"), err) < 0 || json_write_base64(out, bytes, err) < 0)
        return -1;
    return buf_append_text(out, TEXT("}"), err);
}

static int write_program(struct buf *out, const struct program *program, struct error *err)
{
    if (buf_append_text(out, TEXT("{\"language\":"), err) < 0 ||
        json_write_string(out, program->language->id, NULL, err) < 0 ||
        buf_append_text(out, TEXT(",\"version\":"), err) < 0 ||
        json_write_string(out, program->version, NULL, err) < 0 ||
        buf_printf(out, err, "%s,\"files\":[", program->assertions ? ",\"assertions\":true" : "") < 0)
        return -1;
    for (size_t i = 0; i < program->files_len; i++)
        if (buf_append_text(out, i > 0 ? TEXT(",[") : TEXT("["), err) < 0 ||
            json_write_string(out, program->files[i].name, NULL, err) < 0 || buf_append_text(out, TEXT(","), err) < 0 ||
            write_bytes(out, program->files[i].content, err) < 0 || buf_append_text(out, TEXT("]"), err) < 0)
            return -1;
    return buf_append_text(out, TEXT("]}"), err);
}

static int write_limits(struct buf *out, const struct limits *limits, struct error *err)
{
    const uint64_t numbers[] = {
#define X(field, ...) limits->field,
        LIMITS_LIST(X)
#undef X
    };

    if (buf_append_text(out, TEXT(",\"limits\":["), err) < 0)
        return -1;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert(numbers[i] <= INT64_MAX); /* JSON integers are signed; all ceilings are far below */
        if (buf_printf(out, err, "%s%" PRIu64, i > 0 ? "," : "", numbers[i]) < 0)
            return -1;
    }
    return buf_append_text(out, TEXT("]"), err);
}

static int write_args(struct buf *out, const struct test *test, struct error *err)
{
    if (test->args_len == 0)
        return 0;
    if (buf_append_text(out, TEXT(",\"args\":["), err) < 0)
        return -1;
    for (size_t i = 0; i < test->args_len; i++)
        if ((i > 0 && buf_append_text(out, TEXT(","), err) < 0) || write_bytes(out, test->args[i], err) < 0)
            return -1;
    return buf_append_text(out, TEXT("]"), err);
}

enum { SAME_INPUT = 1, SAME_ARGS = 2, SAME_EXPECTED = 4 };

static bool is_same(struct text one, struct text other)
{
    return one.len >= SAME_BYTES_MIN && one.at == other.at && one.len == other.len;
}

/* What a test has inherited together with the test before it, which is in the same memory then. */
static unsigned same_fields(const struct test *test, const struct test *before)
{
    size_t args_bytes = 0;
    if (before == NULL)
        return 0;
    for (size_t i = 0; i < test->args_len; i++)
        args_bytes += test->args[i].len;
    bool same_args = args_bytes >= SAME_BYTES_MIN && test->args == before->args && test->args_len == before->args_len;
    bool same_expected = test->has_expected && before->has_expected && is_same(test->expected, before->expected);
    return (is_same(test->input, before->input) ? SAME_INPUT : 0u) | (same_args ? SAME_ARGS : 0u) |
           (same_expected ? SAME_EXPECTED : 0u);
}

unsigned submission_version(const struct submission *submission)
{
    for (size_t i = 0; i < submission->programs_len; i++)
        if (submission->programs[i].assertions)
            return 3;
    for (size_t i = 0; i < submission->tests_len; i++)
        if (submission->tests[i].network != RUN_NETWORK_NONE ||
            same_fields(&submission->tests[i], i > 0 ? &submission->tests[i - 1] : NULL) != 0)
            return 2;
    return 1;
}

static int write_test(struct buf *out, const struct test *test, const struct test *before, struct error *err)
{
    unsigned same = same_fields(test, before);
    if (buf_printf(out, err, "{\"p\":%" PRIu32 ",\"e\":%" PRIu32 ",\"i\":%" PRIu32, test->program, test->element,
                   test->index) < 0)
        return -1;
    if (same != 0 && buf_printf(out, err, ",\"same\":%u", same) < 0)
        return -1;
    if (test->input.len > 0 && (same & SAME_INPUT) == 0 &&
        (buf_append_text(out, TEXT(",\"in\":"), err) < 0 || write_bytes(out, test->input, err) < 0))
        return -1;
    if ((same & SAME_ARGS) == 0 && write_args(out, test, err) < 0)
        return -1;
    if (test->has_expected && (same & SAME_EXPECTED) == 0 &&
        (buf_append_text(out, TEXT(",\"want\":"), err) < 0 || write_bytes(out, test->expected, err) < 0))
        return -1;
    if (test->wants_base64 && buf_append_text(out, TEXT(",\"b64\":true"), err) < 0)
        return -1;
    if (test->network != RUN_NETWORK_NONE &&
        buf_printf(out, err, ",\"net\":\"%s\"", run_network_name(test->network)) < 0)
        return -1;
    if ((before == NULL || !limits_equal(&test->limits, &before->limits)) && write_limits(out, &test->limits, err) < 0)
        return -1;
    return buf_append_text(out, TEXT("}"), err);
}

int submission_encode(const struct submission *submission, struct buf *out, struct error *err)
{
    if (buf_printf(out, err, "{\"v\":%u,\"token\":\"%s\",\"created_ms\":%" PRIu64 ",\"priority\":\"%s\"",
                   submission_version(submission), submission->token, submission->created_ms,
                   submission_priority_name(submission->priority)) < 0)
        return -1;
    if (submission->client[0] != '\0' && buf_printf(out, err, ",\"client\":\"%s\"", submission->client) < 0)
        return -1;
    if (buf_printf(out, err, "%s%s%s,\"programs\":[", submission->share_cache ? ",\"share\":true" : "",
                   submission->fresh ? ",\"fresh\":true" : "", submission->cache_results ? ",\"cache\":true" : "") < 0)
        return -1;
    for (size_t i = 0; i < submission->programs_len; i++)
        if ((i > 0 && buf_append_text(out, TEXT(","), err) < 0) ||
            write_program(out, &submission->programs[i], err) < 0)
            return -1;
    if (buf_append_text(out, TEXT("],\"tests\":["), err) < 0)
        return -1;
    for (size_t i = 0; i < submission->tests_len; i++)
        if ((i > 0 && buf_append_text(out, TEXT(","), err) < 0) ||
            write_test(out, &submission->tests[i], i > 0 ? &submission->tests[i - 1] : NULL, err) < 0)
            return -1;
    return buf_append_text(out, TEXT("]}"), err);
}

static int unreadable(struct error *err, const char *what)
{
    return error_set(err, ERROR_BUG, 0, "a stored submission is unreadable: %s", what);
}

static struct text string_of(const json_t *string)
{
    return (struct text){ json_string_value(string), json_string_length(string) };
}

static int read_bytes(const json_t *value, struct arena *arena, struct text *ret, struct error *err)
{
    if (json_is_string(value))
        return arena_copy(arena, string_of(value), ret, err);

    const json_t *encoded = json_object_get(value, "b64");
    auto_buf struct buf decoded = { .max = SIZE_MAX / 4 };
    if (!json_is_string(encoded) || base64_decode(string_of(encoded), &decoded, err) < 0)
        return unreadable(err, "bytes");
    return arena_copy(arena, buf_text(&decoded), ret, err);
}

static bool has_nul(struct text text)
{
    return memchr(text.at, '\0', text.len) != NULL;
}

static int read_unsigned(const json_t *value, uint64_t max, uint64_t *ret, struct error *err)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > max)
        return unreadable(err, "a number");
    *ret = (uint64_t)json_integer_value(value);
    return 0;
}

static int read_u32(const json_t *object, const char *key, uint32_t *ret, struct error *err)
{
    uint64_t number = 0;

    if (read_unsigned(json_object_get(object, key), UINT32_MAX, &number, err) < 0)
        return -1;
    *ret = (uint32_t)number;
    return 0;
}

static int read_program(const json_t *object, const struct languages *languages, struct arena *arena,
                        struct program *program, struct error *err)
{
    const json_t *language = json_object_get(object, "language");
    const json_t *version = json_object_get(object, "version");
    const json_t *files = json_object_get(object, "files");
    size_t len = json_array_size(files);

    if (!json_is_string(language) || !json_is_string(version) || len < 1 || len > FILES_MAX)
        return unreadable(err, "a program");
    program->language = languages_find(languages, string_of(language));
    if (program->language == NULL) {
        (void)error_set(err, ERROR_SANDBOX, 0, "this worker has no language \"%.31s\"", json_string_value(language));
        (void)snprintf(err->field, sizeof err->field, "%.31s", json_string_value(language));
        return -1;
    }
    program->files = arena_alloc_array(arena, len, sizeof *program->files, err);
    if (program->files == NULL || arena_copy(arena, string_of(version), &program->version, err) < 0)
        return -1;
    program->assertions = json_is_true(json_object_get(object, "assertions"));
    program->files_len = len;
    for (size_t i = 0; i < len; i++) {
        const json_t *pair = json_array_get(files, i);
        struct file *file = &program->files[i];
        if (json_array_size(pair) != 2 || !json_is_string(json_array_get(pair, 0)))
            return unreadable(err, "a file");
        if (arena_copy(arena, string_of(json_array_get(pair, 0)), &file->name, err) < 0 ||
            read_bytes(json_array_get(pair, 1), arena, &file->content, err) < 0)
            return -1;
        if (!file_name_is_valid(file->name)) /* names become paths, so the store is not trusted, either */
            return unreadable(err, "the name of a file");
    }
    return 0;
}

/* A build that knew fewer limits stored fewer numbers; the missing limits are those of the language. */
static int read_limits(const json_t *array, const struct language *language, struct limits *limits, struct error *err)
{
    size_t len = json_array_size(array), at = 0;

    *limits = language->limits;
#define X(field, type, ...)                                                                                            \
    if (at < len || at < FIRST_LIMITS) {                                                                               \
        uint64_t number = 0, max = sizeof(type) == 4 ? UINT32_MAX : INT64_MAX;                                         \
        if (read_unsigned(json_array_get(array, at), max, &number, err) < 0)                                           \
            return -1;                                                                                                 \
        limits->field = (type)number;                                                                                  \
    }                                                                                                                  \
    at++;
    LIMITS_LIST(X)
#undef X
    return len <= at ? 0 : unreadable(err, "limits");
}

static int read_args(const json_t *array, struct arena *arena, struct test *test, struct error *err)
{
    test->args_len = json_array_size(array);
    test->args = arena_alloc_array(arena, test->args_len, sizeof *test->args, err);
    if (test->args == NULL)
        return -1;
    for (size_t i = 0; i < test->args_len; i++) {
        if (read_bytes(json_array_get(array, i), arena, &test->args[i], err) < 0)
            return -1;
        if (has_nul(test->args[i]))
            return unreadable(err, "an argument");
    }
    return 0;
}

static int read_network(const json_t *value, enum run_network *ret, struct error *err)
{
    if (value == NULL)
        return 0;
    for (enum run_network network = 0; network < RUN_NETWORK_COUNT_; network++)
        if (json_is_string(value) && text_equal(string_of(value), text_of(run_network_name(network)))) {
            *ret = network;
            return 0;
        }
    return unreadable(err, "a network");
}

/* Takes over what is the same as in the test before. */
static int read_same(const json_t *value, const struct submission *submission, struct test *test, struct error *err)
{
    uint64_t same = 0;
    if (value == NULL)
        return 0;
    if (read_unsigned(value, SAME_INPUT | SAME_ARGS | SAME_EXPECTED, &same, err) < 0)
        return -1;
    if (test == submission->tests)
        return unreadable(err, "the first test has none before it");
    if (same & SAME_INPUT)
        test->input = test[-1].input;
    if (same & SAME_ARGS) {
        test->args = test[-1].args;
        test->args_len = test[-1].args_len;
    }
    if (same & SAME_EXPECTED) {
        test->has_expected = true;
        test->expected = test[-1].expected;
    }
    return 0;
}

static int read_test(const json_t *object, const struct submission *submission, struct arena *arena, struct test *test,
                     struct error *err)
{
    const json_t *input = json_object_get(object, "in");
    const json_t *args = json_object_get(object, "args");
    const json_t *expected = json_object_get(object, "want");
    const json_t *limits = json_object_get(object, "limits");

    if (read_u32(object, "p", &test->program, err) < 0 || read_u32(object, "e", &test->element, err) < 0 ||
        read_u32(object, "i", &test->index, err) < 0)
        return -1;
    if (test->program >= submission->programs_len)
        return unreadable(err, "a test of no program");
    if ((input != NULL && read_bytes(input, arena, &test->input, err) < 0) ||
        (expected != NULL && read_bytes(expected, arena, &test->expected, err) < 0) ||
        (args != NULL && read_args(args, arena, test, err) < 0) ||
        read_network(json_object_get(object, "net"), &test->network, err) < 0)
        return -1;
    test->has_expected = expected != NULL;
    if (read_same(json_object_get(object, "same"), submission, test, err) < 0)
        return -1;
    test->wants_base64 = json_is_true(json_object_get(object, "b64"));
    if (limits != NULL)
        return read_limits(limits, submission->programs[test->program].language, &test->limits, err);
    if (test == submission->tests)
        return unreadable(err, "the first test has no limits");
    test->limits = test[-1].limits;
    return 0;
}

static int read_client(const json_t *json, struct submission *submission, struct error *err)
{
    const json_t *client = json_object_get(json, "client");

    submission->share_cache = json_is_true(json_object_get(json, "share"));
    if (client == NULL)
        return 0;
    if (!json_is_string(client) || !client_name_is_valid(string_of(client)))
        return unreadable(err, "its client");
    memcpy(submission->client, json_string_value(client), json_string_length(client));
    return 0;
}

static int read_head(const json_t *json, struct submission *submission, struct error *err)
{
    const json_t *version = json_object_get(json, "v");
    const json_t *token = json_object_get(json, "token");
    const json_t *priority = json_object_get(json, "priority");

    if (!json_is_integer(version))
        return unreadable(err, "it has no version");
    if (json_integer_value(version) < 1 || json_integer_value(version) > SUBMISSION_VERSION_MAX)
        return error_set(err, ERROR_BUG, 0,
                         "a stored submission has version %" JSON_INTEGER_FORMAT ", this evalx reads up to version %d",
                         json_integer_value(version), SUBMISSION_VERSION_MAX);
    if (!json_is_string(token) || !token_is_valid(string_of(token)))
        return unreadable(err, "its token");
    memcpy(submission->token, json_string_value(token), TOKEN_BYTES);
    submission->fresh = json_is_true(json_object_get(json, "fresh"));
    submission->cache_results = json_is_true(json_object_get(json, "cache"));
    if (read_unsigned(json_object_get(json, "created_ms"), INT64_MAX, &submission->created_ms, err) < 0 ||
        read_client(json, submission, err) < 0)
        return -1;
    for (enum submission_priority i = 0; i < PRIORITY_COUNT_; i++)
        if (json_is_string(priority) && text_equal(string_of(priority), text_of(submission_priority_name(i)))) {
            submission->priority = i;
            return 0;
        }
    return unreadable(err, "its priority");
}

static int read_submission(const json_t *json, const struct languages *languages, struct submission *submission,
                           struct error *err)
{
    const json_t *programs = json_object_get(json, "programs");
    const json_t *tests = json_object_get(json, "tests");
    size_t programs_len = json_array_size(programs), tests_len = json_array_size(tests);
    struct arena *arena = &submission->arena;

    if (read_head(json, submission, err) < 0)
        return -1;
    if (programs_len < 1 || programs_len > TESTS_MAX || tests_len < 1 || tests_len > TESTS_MAX)
        return unreadable(err, "its programs or tests");
    submission->programs = arena_alloc_array(arena, programs_len, sizeof *submission->programs, err);
    submission->tests = arena_alloc_array(arena, tests_len, sizeof *submission->tests, err);
    if (submission->programs == NULL || submission->tests == NULL)
        return -1;
    submission->programs_len = programs_len;
    for (size_t i = 0; i < programs_len; i++)
        if (read_program(json_array_get(programs, i), languages, arena, &submission->programs[i], err) < 0)
            return -1;
    submission->tests_len = tests_len;
    for (size_t i = 0; i < tests_len; i++)
        if (read_test(json_array_get(tests, i), submission, arena, &submission->tests[i], err) < 0)
            return -1;
    return 0;
}

int submission_decode(struct text encoded, const struct languages *languages, struct submission *ret, struct error *err)
{
    struct submission submission = { 0 };
    json_error_t wrong;
    json_t *json =
        json_loadb(encoded.at != NULL ? encoded.at : "", encoded.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &wrong);

    if (json == NULL)
        return error_set(err, ERROR_BUG, 0, "a stored submission is unreadable: line %d, column %d: %s", wrong.line,
                         wrong.column, wrong.text);
    /* As in request_decode, but a test may be as short as {"p":0,"e":0,"i":0}. */
    arena_init(&submission.arena, encoded.len * 32 + ((size_t)4 << 20));
    int result = read_submission(json, languages, &submission, err);
    json_decref(json);
    if (result == 0) {
        *ret = submission;
        return 0;
    }
    submission_done(&submission);
    if (err->kind == ERROR_REQUEST) /* from an arena or a decoder; here it is not the client's fault */
        err->kind = ERROR_BUG;
    return -1;
}
