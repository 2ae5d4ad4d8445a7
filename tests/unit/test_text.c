/* Comparing, UTF-8 and numbers. */
#include "cases.h"

static void texts_are_equal_by_bytes(void **state)
{
    (void)state;
    assert_true(text_equal(TEXT("a\0b"), TEXT("a\0b")));
    assert_false(text_equal(TEXT("a\0b"), TEXT("a\0c")));
    assert_true(text_equal(TEXT(""), (struct text){ NULL, 0 }));
    assert_true(text_equal_ignore_case(TEXT("C++ Z"), TEXT("c++ z")));
    assert_false(text_equal_ignore_case(TEXT("["), TEXT("{"))); /* 0x20 apart, and no letters */
    assert_int_equal(text_of(NULL).len, 0);
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
        { "ASCII stays", { "a\0b", 3 }, NULL },
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
        assert_ok(text_repair_utf8(rows[i].in, &out, &replaced, &err), err);
        for (const char *at = rows[i].out; at != NULL && *at != '\0'; at++)
            assert_ok(*at == 'M' ? buf_append(&expected, "\xef\xbf\xbd", 3, &err) : buf_append(&expected, at, 1, &err),
                      err);
        struct text want = rows[i].out == NULL ? rows[i].in : buf_text(&expected);
        assert_true(text_equal(buf_text(&out), want));
        assert_int_equal(replaced, rows[i].out != NULL);
        assert_int_equal(text_is_utf8(rows[i].in), rows[i].out == NULL);
    }
}

static void a_repair_that_does_not_fit_leaves_the_buffer(void **state)
{
    (void)state;
    auto_buf struct buf out = { .max = 6 };
    struct error err;
    bool replaced;

    assert_ok(buf_append(&out, "abc", 3, &err), err);
    assert_int_equal(text_repair_utf8(TEXT("d\xff"), &out, &replaced, &err), -1);
    assert_text_equal(buf_text(&out), "abc");
}

static void numbers_are_digits_and_fit(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "", "-1", "+1", " 1", "1 ", "0x1", "1.0", "18446744073709551616", "99999999999999999999999"
    };
    uint64_t value = 7;

    for (size_t i = 0; i < LEN(wrong); i++)
        assert_int_equal(text_parse_u64(text_of(wrong[i]), &value), -1);
    assert_int_equal(value, 7);
    assert_int_equal(text_parse_u64(TEXT("18446744073709551615"), &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(text_parse_u64(TEXT("007"), &value), 0);
    assert_int_equal(value, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_equal_by_bytes),
        cmocka_unit_test(ill_formed_parts_become_one_mark_each),
        cmocka_unit_test(a_repair_that_does_not_fit_leaves_the_buffer),
        cmocka_unit_test(numbers_are_digits_and_fit),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
