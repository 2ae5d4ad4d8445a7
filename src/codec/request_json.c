/*
 * request_json: reads the shape of the request, what elements inherit, and their tests.
 *
 * jansson parses, field_json reads single values, limits_json limits, and program_json programs.
 */
#include "codec/request_json.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "codec/field_json.h"
#include "codec/json_scan.h"
#include "codec/limits_json.h"
#include "codec/program_json.h"
#include "config/config.h"

struct decoder {
    const struct config *config;
    struct limits ceiling;
    enum request_kind kind;
    struct program_list programs;
    struct submission *submission;
    struct element first; /* of a batch; .object is NULL while it is read, and for other kinds */
};

void request_init(void)
{
    json_object_seed(0);
}

static json_t *parse(struct text body, struct error *err)
{
    json_error_t wrong;
    if (json_scan(body, err) < 0)
        return NULL;
    json_t *json =
        json_loadb(body.at != NULL ? body.at : "", body.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &wrong);

    if (json != NULL)
        return json;
    if (body.len == 0)
        (void)error_field(err, "", "expected JSON, got an empty body");
    else
        (void)error_field(err, "", "not valid JSON at line %d, column %d: %s", wrong.line, wrong.column, wrong.text);
    return NULL;
}

/* Checks the outermost shape, and counts elements and tests for the allocations. */
static int check_shape(const json_t *json, enum request_kind kind, const struct config *config, size_t *ret_elements,
                       size_t *ret_tests, struct error *err)
{
    static const struct json_path outer = { "" };
    char expected[64], got[JSON_DESCRIBE_BYTES];
    size_t tests_len = 0;

    if (kind == REQUEST_SINGLE && !json_is_object(json))
        return field_wrong(err, &outer, "an object", json);
    size_t len = kind == REQUEST_SINGLE ? 1 : json_array_size(json);
    if (len < 1 || len > config->requests_max) {
        (void)snprintf(expected, sizeof expected, "an array of 1 to %llu objects",
                       (unsigned long long)config->requests_max);
        if (!json_is_array(json))
            return field_wrong(err, &outer, expected, json);
        return error_field(err, "", "expected %s, got %zu", expected, len);
    }
    for (size_t i = 0; i < len; i++) {
        const json_t *object = kind == REQUEST_SINGLE ? json : json_array_get(json, i);
        struct json_path path = json_path_element(&outer, i);
        if (!json_is_object(object))
            return error_field(err, path.at, "expected an object, got %s", json_describe(object, got));
        const json_t *tests = field_get(object, "tests");
        tests_len += json_array_size(tests) > 0 ? json_array_size(tests) : 1;
    }
    if (tests_len > REQUEST_TESTS_MAX)
        return error_field(err, "", "expected at most %d tests in total, got %zu", REQUEST_TESTS_MAX, tests_len);
    *ret_elements = len;
    *ret_tests = tests_len;
    return 0;
}

static int read_args(const json_t *object, const struct json_path *outer, struct arena *arena, struct test *test,
                     struct error *err)
{
    struct json_path path = json_path_field(outer, "args");
    const json_t *args;
    size_t bytes = 0;

    if (field_array(object, "args", outer, 0, REQUEST_ARGS_MAX, &args, err) < 0)
        return -1;
    if (args == NULL)
        return 0;
    struct text *words = arena_alloc_array(arena, json_array_size(args), sizeof *words, err);
    if (words == NULL)
        return -1;
    for (size_t i = 0; i < json_array_size(args); i++) {
        const json_t *word = json_array_get(args, i);
        struct json_path word_path = json_path_element(&path, i);
        if (!json_is_string(word))
            return field_wrong(err, &word_path, "a string", word);
        struct text text = json_text(word);
        if (memchr(text.at, '\0', text.len) != NULL)
            return error_field(err, word_path.at, "expected text without NUL");
        bytes += text.len;
        if (bytes > REQUEST_ARGS_BYTES_MAX)
            return error_field(err, path.at, "expected at most %d bytes in total", REQUEST_ARGS_BYTES_MAX);
        if (arena_copy(arena, text, &words[i], err) < 0)
            return -1;
    }
    test->args = words;
    test->args_len = json_array_size(args);
    return 0;
}

/* Reads the fields that elements and tests share.  Fields that the object does not have keep their values. */
static int read_test(const json_t *object, const struct json_path *path, struct arena *arena, struct test *test,
                     struct error *err)
{
    bool has_input, has_expected;

    if (field_bytes(object, "stdin", path, arena, &test->input, &has_input, err) < 0 ||
        read_args(object, path, arena, test, err) < 0 ||
        field_text(object, "expected_output", path, arena, true, &test->expected, &has_expected, err) < 0 ||
        field_bool(object, "base64", path, &test->wants_base64, err) < 0)
        return -1;
    test->has_expected |= has_expected;
    return 0;
}

/* Until all limits are read. */
#define STACK_AS_MEMORY UINT64_MAX

static void add_test(struct submission *submission, const struct test *test)
{
    struct test *added = &submission->tests[submission->tests_len++];

    *added = *test;
    if (added->limits.stack_bytes == STACK_AS_MEMORY)
        added->limits.stack_bytes = added->limits.memory_bytes;
}

static int read_limits(const struct decoder *decoder, const struct element *element, struct test *test,
                       struct error *err)
{
    const struct element *first = &decoder->first;

    const struct language *language = decoder->programs.programs[test->program].language;
    test->limits = language->limits;
    if (language->stack_follows_memory)
        test->limits.stack_bytes = STACK_AS_MEMORY;
    if (first->object != NULL) {
        bool differs = program_differs(element, first);
        if ((differs ? limits_apply_simple : limits_apply)(first->object, &first->path, &decoder->ceiling,
                                                           &test->limits, err) < 0)
            return -1;
    }
    return limits_apply(element->object, &element->path, &decoder->ceiling, &test->limits, err);
}

static int read_network(const struct decoder *decoder, const struct element *element, enum run_network *ret,
                        struct error *err)
{
    bool inherits = decoder->first.object != NULL && field_get(element->object, "network") == NULL;
    const struct element *from = inherits ? &decoder->first : element;
    const json_t *value = field_get(from->object, "network");
    struct json_path path = json_path_field(&from->path, "network");

    *ret = RUN_NETWORK_NONE;
    if (value == NULL)
        return 0;
    for (enum run_network network = 0; network < RUN_NETWORK_COUNT_; network++)
        if (json_is_string(value) && text_equal(json_text(value), text_of(run_network_name(network)))) {
            *ret = network;
            return 0;
        }
    return field_wrong(err, &path, "\"none\" or \"loopback\"", value);
}

static int read_element(struct decoder *decoder, const struct element *element, uint32_t index, struct error *err)
{
    struct submission *submission = decoder->submission;
    struct arena *arena = &submission->arena;
    const struct element *first = decoder->first.object != NULL ? &decoder->first : NULL;
    struct json_path outer = json_path_field(&element->path, "tests");
    struct test common = { .element = index };
    const json_t *tests;

    if (program_find(&decoder->programs, element, first, &common.program, err) < 0 ||
        read_limits(decoder, element, &common, err) < 0 || read_network(decoder, element, &common.network, err) < 0 ||
        read_test(element->object, &element->path, arena, &common, err) < 0 ||
        field_array(element->object, "tests", &element->path, 1, REQUEST_TESTS_MAX, &tests, err) < 0)
        return -1;
    if (tests == NULL)
        add_test(submission, &common);
    for (size_t i = 0; tests != NULL && i < json_array_size(tests); i++) {
        const json_t *object = json_array_get(tests, i);
        struct json_path path = json_path_element(&outer, i);
        struct test test = common;
        test.index = (uint32_t)i;
        if (!json_is_object(object))
            return field_wrong(err, &path, "an object", object);
        if (read_test(object, &path, arena, &test, err) < 0 ||
            limits_apply(object, &path, &decoder->ceiling, &test.limits, err) < 0)
            return -1;
        add_test(submission, &test);
    }
    return 0;
}

static int read_priority(const json_t *object, const struct json_path *outer, enum submission_priority *ret,
                         struct error *err)
{
    const json_t *value = field_get(object, "priority");
    struct json_path path = json_path_field(outer, "priority");

    *ret = PRIORITY_NORMAL;
    if (value == NULL)
        return 0;
    for (enum submission_priority priority = 0; priority < PRIORITY_COUNT_; priority++)
        if (json_is_string(value) && text_equal(json_text(value), text_of(submission_priority_name(priority)))) {
            *ret = priority;
            return 0;
        }
    return field_wrong(err, &path, "\"high\", \"normal\" or \"low\"", value);
}

static int read_all(struct decoder *decoder, const json_t *json, size_t elements_len, struct error *err)
{
    static const struct json_path outer = { "" };

    for (size_t i = 0; i < elements_len; i++) {
        struct element element = { .object = json, .path = outer };
        if (decoder->kind != REQUEST_SINGLE)
            element = (struct element){ json_array_get(json, i), json_path_element(&outer, i) };
        if (i == 0 &&
            (read_priority(element.object, &element.path, &decoder->submission->priority, err) < 0 ||
             field_bool(element.object, "cache", &element.path, &decoder->submission->cache_results, err) < 0))
            return -1;
        if (read_element(decoder, &element, (uint32_t)i, err) < 0)
            return -1;
        if (i == 0 && decoder->kind == REQUEST_BATCH)
            decoder->first = element;
    }
    return 0;
}

static int decode(const json_t *json, enum request_kind kind, const struct languages *languages, struct text images,
                  const struct config *config, struct submission *submission, struct error *err)
{
    struct decoder decoder = { .config = config, .kind = kind, .submission = submission };
    size_t elements_len = 0, tests_len = 0;

    if (check_shape(json, kind, config, &elements_len, &tests_len, err) < 0)
        return -1;
    limits_ceiling(config, &decoder.ceiling);
    decoder.programs = (struct program_list){ .languages = languages, .images = images, .arena = &submission->arena };
    decoder.programs.programs = arena_alloc_array(&submission->arena, elements_len, sizeof(struct program), err);
    decoder.programs.digests = arena_alloc_array(&submission->arena, elements_len, HASH_HEX_BYTES, err);
    submission->tests = arena_alloc_array(&submission->arena, tests_len, sizeof *submission->tests, err);
    if (decoder.programs.programs == NULL || decoder.programs.digests == NULL || submission->tests == NULL)
        return -1;
    if (read_all(&decoder, json, elements_len, err) < 0)
        return -1;
    assert(submission->tests_len == tests_len);
    submission->programs = decoder.programs.programs;
    submission->programs_len = decoder.programs.len;
    token_new(submission->token);
    submission->created_ms = clock_wall_ms();
    return 0;
}

int request_decode(struct text body, enum request_kind kind, const struct languages *languages, struct text images,
                   const struct config *config, struct submission *ret, struct error *err)
{
    struct submission submission = { 0 };
    json_t *json = parse(body, err);

    if (json == NULL)
        return -1;
    /* The shortest string in JSON, "" and a comma, takes 3 bytes, and 32 in the arena; other structures are bounded. */
    arena_init(&submission.arena, body.len * 16 + ((size_t)4 << 20));
    int result = decode(json, kind, languages, images, config, &submission, err);
    json_decref(json);
    if (result < 0)
        submission_done(&submission);
    else
        *ret = submission;
    return result;
}
