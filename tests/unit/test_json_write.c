/* Pieces of JSON, escaped and repaired. */
#include "cases.h"

#include "base/json_write.h"

static void strings_are_escaped_and_repaired(void **state)
{
    (void)state;
    static const struct {
        struct text in;
        const char *out;
        bool replaced;
    } rows[] = {
        { { "", 0 }, "\"\"", false },
        { { NULL, 0 }, "\"\"", false },
        { { "a\"b\\c/", 6 }, "\"a\\\"b\\\\c/\"", false },
        { { "\n\r\t\0\x1f\x7f", 6 }, "\"\\n\\r\\t\\u0000\\u001f\x7f\"", false },
        { { "\xf0\x9f\x98\x80", 4 }, "\"\xf0\x9f\x98\x80\"", false },
        { { "a\xff\n\xe2\x82", 5 }, "\"a\xef\xbf\xbd\\n\xef\xbf\xbd\"", true },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        auto_buf struct buf out = { .max = 100 };
        struct error err;
        bool replaced = !rows[i].replaced;

        assert_ok(json_write_string(&out, rows[i].in, &replaced, &err), err);
        assert_string_equal(out.at, rows[i].out);
        assert_int_equal(replaced, rows[i].replaced);
    }
}

static void seconds_have_no_needless_zeros(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        const char *out;
    } rows[] = {
        { 0, "0.0" },         { 1, "0.000001" },           { 1000000, "1.0" }, { 1500000, "1.5" },
        { 10000000, "10.0" }, { 123456789, "123.456789" }, { 120, "0.00012" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        auto_buf struct buf out = { .max = 100 };
        struct error err;

        assert_ok(json_write_seconds(&out, rows[i].us, &err), err);
        assert_string_equal(out.at, rows[i].out);
    }
}

static void nothing_is_null_and_bytes_are_base64(void **state)
{
    (void)state;
    auto_buf struct buf out = { .max = 100 };
    struct error err;
    bool replaced = true;

    assert_ok(json_write_string_or_null(&out, TEXT(""), &replaced, &err), err);
    assert_string_equal(out.at, "null");
    assert_false(replaced);
    buf_clear(&out);
    assert_ok(json_write_base64(&out, TEXT("f\xff"), &err), err);
    assert_string_equal(out.at, "\"Zv8=\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped_and_repaired),
        cmocka_unit_test(seconds_have_no_needless_zeros),
        cmocka_unit_test(nothing_is_null_and_bytes_are_base64),
    };
    return cmocka_run_group_tests_name("json_write", tests, NULL, NULL);
}
