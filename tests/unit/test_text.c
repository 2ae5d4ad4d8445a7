/* Comparing texts and reading numbers. */
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
        cmocka_unit_test(numbers_are_digits_and_fit),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
