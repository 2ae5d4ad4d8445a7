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
        assert_int_equal(json_string_bytes(rows[i].in), out.len);
        assert_string_equal(out.at, rows[i].out);
        assert_int_equal(replaced, rows[i].replaced);
    }
}

static void ill_formed_parts_become_one_mark_each(void **state)
{
    (void)state;
    /* From the Unicode standard, 3.9, tables 3-8 to 3-11; M stands for U+FFFD. */
    static const struct {
        const char *why;
        struct text in;
        const char *out;
    } rows[] = {
        { "ASCII stays", { "ab", 2 }, NULL },
        { "two, three and four bytes stay", { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9 }, NULL },
        { "the last character of all stays", { "\xf4\x8f\xbf\xbf", 4 }, NULL },
        { "overlong two bytes", { "\xc0\xaf", 2 }, "MM" },
        { "overlong three bytes", { "\xe0\x80\xbf", 3 }, "MMM" },
        { "overlong four bytes", { "\xf0\x81\x82\x41", 4 }, "MMMA" },
        { "a surrogate", { "\xed\xa0\x80", 3 }, "MMM" },
        { "beyond U+10FFFF", { "\xf4\x91\x92\x93", 4 }, "MMMM" },
        { "no such lead byte", { "\xff\x41", 2 }, "MA" },
        { "continuation alone", { "\x80\xbf\x41", 3 }, "MMA" },
        { "cut in the middle", { "\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", 9 }, "MMMMA" },
        { "cut at the end", { "a\xf0\x9f\x98", 4 }, "aM" },
        { "a good one behind a bad one", { "\xe2\x82\xc3\xa9", 4 }, "M\xc3\xa9" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        auto_buf struct buf out = { .max = 100 }, expected = { .max = 100 };
        struct error err;
        bool replaced = rows[i].out == NULL;

        print_message("  %s\n", rows[i].why);
        assert_ok(json_write_string(&out, rows[i].in, &replaced, &err), err);
        assert_int_equal(json_string_bytes(rows[i].in), out.len);
        for (const char *at = rows[i].out; at != NULL && *at != '\0'; at++)
            assert_ok(*at == 'M' ? buf_append(&expected, "\xef\xbf\xbd", 3, &err) : buf_append(&expected, at, 1, &err),
                      err);
        struct text want = rows[i].out == NULL ? rows[i].in : buf_text(&expected);
        assert_true(text_equal((struct text){ out.at + 1, out.len - 2 }, want)); /* without the quotes */
        assert_int_equal(replaced, rows[i].out != NULL);
        assert_int_equal(text_is_utf8(rows[i].in), rows[i].out == NULL);
    }
}

static void seconds_have_no_trailing_zeros(void **state)
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

static void empty_text_is_null_and_bytes_are_base64(void **state)
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
        cmocka_unit_test(ill_formed_parts_become_one_mark_each),
        cmocka_unit_test(seconds_have_no_trailing_zeros),
        cmocka_unit_test(empty_text_is_null_and_bytes_are_base64),
    };
    return cmocka_run_group_tests_name("json_write", tests, NULL, NULL);
}
