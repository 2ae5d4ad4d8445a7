/* Buffers grow up to their maximum; a failure leaves them unchanged. */
#include "cases.h"

static void grows_to_its_maximum_and_no_further(void **state)
{
    (void)state;
    auto_buf struct buf buf = { .max = 1000 };
    struct error err;

    assert_null(buf.at);
    for (int i = 0; i < 100; i++)
        assert_ok(buf_append(&buf, "0123456789", 10, &err), err);
    assert_int_equal(buf.len, 1000);
    assert_int_equal(buf.at[1000], '\0');
    assert_int_equal(buf_append(&buf, "x", 1, &err), -1);
    assert_int_equal(err.kind, ERROR_REQUEST);
    assert_int_equal(buf_printf(&buf, &err, "%d", 7), -1);
    assert_int_equal(buf.len, 1000);
    assert_ok(buf_append(&buf, NULL, 0, &err), err);
}

static void a_length_that_overflows_is_refused(void **state)
{
    (void)state;
    auto_buf struct buf buf = { .max = SIZE_MAX };
    struct error err;

    assert_ok(buf_append(&buf, "abc", 3, &err), err);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX - 3, &err), -1);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX, &err), -1);
    assert_text_equal(buf_text(&buf), "abc");
}

static void ends_in_nul_after_each_call(void **state)
{
    (void)state;
    auto_buf struct buf buf = { .max = 100 };
    struct error err;

    assert_ok(buf_reserve(&buf, 0, &err), err);
    assert_string_equal(buf.at, "");
    assert_ok(buf_printf(&buf, &err, "%s-%d", "a", 1), err);
    assert_string_equal(buf.at, "a-1");
    buf_cut(&buf, 1);
    assert_string_equal(buf.at, "a");
    buf_clear(&buf);
    assert_string_equal(buf.at, "");
    buf_done(&buf);
    assert_null(buf.at);
    assert_int_equal(buf.max, 100);
    assert_ok(buf_append_text(&buf, TEXT("again"), &err), err);
    assert_string_equal(buf.at, "again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_to_its_maximum_and_no_further),
        cmocka_unit_test(a_length_that_overflows_is_refused),
        cmocka_unit_test(ends_in_nul_after_each_call),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
