/* A result as clients read it. */
#include "cases.h"

#include <jansson.h>

#include "codec/result_json.h"

static json_t *encoded(const struct result results[], size_t len)
{
    auto_buf struct buf out = { .max = 1 << 20 };
    struct error err;
    json_error_t wrong;

    assert_ok(results_encode(results, len, &out, &err), err);
    json_t *json = json_loadb(out.at, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &wrong);
    if (json == NULL)
        fail_msg("%s in %s", wrong.text, out.at);
    return json;
}

static const char *string_at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_string(value));
    return json_string_value(value);
}

static void the_fields_older_clients_read(void **state)
{
    (void)state;
    struct result results[2] = {
        { .verdict = VERDICT_ACCEPTED,
          .stats = { .cpu_us = 1500, .wall_us = 2000000, .memory_bytes = 12939427 },
          .compile_us = 250000,
          .output = TEXT("4\0\xff"),
          .language = TEXT("c"),
          .version = TEXT("latest") },
        { .verdict = VERDICT_COMPILE_ERROR,
          .element = 3,
          .index = 2,
          .stats = { .exit_code = 1, .wall_us = 70000, .cpu_us = 60000 },
          .compile_us = 70000,
          .errors = TEXT("main.c:1: error") },
    };
    json_t *json = encoded(results, 2);
    const json_t *one = json_array_get(json, 0), *other = json_array_get(json, 1);

    assert_int_equal(json_array_size(json), 2);
    assert_true(json_real_value(json_object_get(one, "compile_time")) == 0.25);
    assert_true(json_real_value(json_object_get(one, "run_time")) == 2.0);
    assert_true(json_is_real(json_object_get(one, "run_time")));
    assert_memory_equal(string_at(one, "stdout"), "4\0\xef\xbf\xbd", 6);
    assert_true(json_is_null(json_object_get(one, "stderr")));
    assert_int_equal(json_integer_value(json_object_get(one, "exit_code")), 0);
    assert_string_equal(string_at(one, "space_consumed"), "12.34 MB");
    assert_true(json_is_true(json_object_get(one, "output_replaced")));
    assert_string_equal(string_at(one, "status"), "accepted");
    assert_true(json_is_null(json_object_get(one, "signal")));
    assert_null(json_object_get(one, "stdout_base64"));

    assert_string_equal(string_at(other, "stdout"), "");
    assert_string_equal(string_at(other, "stderr"), "main.c:1: error");
    assert_int_equal(json_integer_value(json_object_get(other, "exit_code")), 1);
    assert_true(json_real_value(json_object_get(other, "run_time")) == 0.0);
    assert_int_equal(json_integer_value(json_object_get(other, "element")), 3);
    assert_int_equal(json_integer_value(json_object_get(other, "test")), 2);
    json_decref(json);
}

static void bytes_on_request_and_names_of_signals(void **state)
{
    (void)state;
    struct result results[2] = {
        { .verdict = VERDICT_RUNTIME_ERROR,
          .stats = { .signal = 11 },
          .output = TEXT("\xff"),
          .wants_base64 = true,
          .output_cut = true,
          .compile_output = TEXT("warning"),
          .compile_cached = true,
          .cached = true,
          .message = TEXT("ended by SIGSEGV") },
        { .verdict = VERDICT_RUNTIME_ERROR, .stats = { .signal = 40 } },
    };
    json_t *json = encoded(results, 2);
    const json_t *one = json_array_get(json, 0);

    assert_string_equal(string_at(one, "stdout_base64"), "/w==");
    assert_string_equal(string_at(one, "stderr_base64"), "");
    assert_string_equal(string_at(one, "signal"), "SIGSEGV");
    assert_string_equal(string_at(json_array_get(json, 1), "signal"), "signal 40");
    assert_string_equal(string_at(one, "compile_output"), "warning");
    assert_string_equal(string_at(one, "message"), "ended by SIGSEGV");
    assert_true(json_is_true(json_object_get(one, "output_truncated")));
    assert_true(json_is_false(json_object_get(one, "stderr_truncated")));
    assert_true(json_is_true(json_object_get(one, "compile_cached")));
    assert_true(json_is_true(json_object_get(one, "result_cached")));
    assert_true(json_is_false(json_object_get(json_array_get(json, 1), "result_cached")));
    json_decref(json);
    json = encoded(NULL, 0);
    assert_int_equal(json_array_size(json), 0);
    json_decref(json);
}

static void exit_codes_never_hide_a_failure(void **state)
{
    (void)state;
    static const struct {
        enum verdict verdict;
        struct run_stats stats;
        int code;
    } rows[] = {
        { VERDICT_ACCEPTED, { 0 }, 0 },
        { VERDICT_WRONG_ANSWER, { 0 }, 0 },
        { VERDICT_COMPILE_ERROR, { .exit_code = 2 }, 2 },
        { VERDICT_COMPILE_ERROR, { 0 }, 1 },
        { VERDICT_RUNTIME_ERROR, { .exit_code = 3 }, 3 },
        { VERDICT_RUNTIME_ERROR, { .signal = 11 }, 139 },
        { VERDICT_TIME_LIMIT, { .signal = 9 }, 124 },
        { VERDICT_TIME_LIMIT, { 0 }, 124 },
        { VERDICT_MEMORY_LIMIT, { .signal = 9 }, 137 },
        { VERDICT_MEMORY_LIMIT, { 0 }, 137 },
        { VERDICT_OUTPUT_LIMIT, { 0 }, 1 },
        { VERDICT_DENIED_SYSCALL, { .signal = 31 }, 159 },
        { VERDICT_CANCELLED, { 0 }, 137 },
        { VERDICT_INTERNAL_ERROR, { 0 }, 1 },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct result result = { .verdict = rows[i].verdict, .stats = rows[i].stats };
        print_message("  %s\n", verdict_name(rows[i].verdict));
        assert_int_equal(result_exit_code(&result), rows[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fields_older_clients_read),
        cmocka_unit_test(bytes_on_request_and_names_of_signals),
        cmocka_unit_test(exit_codes_never_hide_a_failure),
    };
    return cmocka_run_group_tests_name("result", tests, NULL, NULL);
}
