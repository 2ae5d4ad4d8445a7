/* base64: the examples of RFC 4648, invalid input, and exact maxima. */
#include "cases.h"

#include "base/base64.h"

static void the_examples_of_the_rfc(void **state)
{
    (void)state;
    static const char *const rows[][2] = { { "", "" },
                                           { "f", "Zg==" },
                                           { "fo", "Zm8=" },
                                           { "foo", "Zm9v" },
                                           { "foob", "Zm9vYg==" },
                                           { "fooba", "Zm9vYmE=" },
                                           { "foobar", "Zm9vYmFy" } };
    for (size_t i = 0; i < LEN(rows); i++) {
        auto_buf struct buf encoded = { .max = 100 };
        auto_buf struct buf decoded = { .max = strlen(rows[i][0]) }; /* what fits exactly is not refused */
        struct error err;

        assert_ok(base64_encode(text_of(rows[i][0]), &encoded, &err), err);
        assert_string_equal(encoded.at, rows[i][1]);
        assert_ok(base64_decode(buf_text(&encoded), &decoded, &err), err);
        assert_string_equal(decoded.at, rows[i][0]);
    }
}

static void blanks_are_skipped(void **state)
{
    (void)state;
    auto_buf struct buf decoded = { .max = 100 };
    struct error err;

    assert_ok(base64_decode(TEXT(" Zm9v\r\n\tYmFy \n"), &decoded, &err), err);
    assert_string_equal(decoded.at, "foobar");
}

static void invalid_base64_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const struct text wrong[] = {
        { "Z", 1 },    { "Zg", 2 },    { "Zg=", 3 },  { "Zg===", 5 },    { "=", 1 },          { "Zm9v=", 5 },
        { "Zh==", 4 }, { "Zm9v!", 5 }, { "Zm-_", 4 }, { "Zg==Zg==", 8 }, { "Zm9v\0Zm9v", 9 }, { "\xff", 1 },
    };
    for (size_t i = 0; i < LEN(wrong); i++) {
        auto_buf struct buf decoded = { .max = 100 };
        struct error err;

        print_message("  %.*s\n", TEXT_ARG(wrong[i]));
        assert_ok(buf_append(&decoded, "abc", 3, &err), err);
        assert_int_equal(base64_decode(wrong[i], &decoded, &err), -1);
        assert_int_equal(err.kind, ERROR_REQUEST);
        assert_string_equal(decoded.at, "abc");
    }
}

static void a_result_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    auto_buf struct buf small = { .max = 5 };
    struct error err;

    assert_int_equal(base64_decode(TEXT("Zm9vYmFy"), &small, &err), -1);
    assert_int_equal(small.len, 0);
    assert_int_equal(base64_encode(TEXT("foob"), &small, &err), -1);
    assert_int_equal(small.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc),
        cmocka_unit_test(blanks_are_skipped),
        cmocka_unit_test(invalid_base64_is_refused_and_changes_nothing),
        cmocka_unit_test(a_result_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
