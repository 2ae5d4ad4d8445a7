/* Error texts are cut, joined and made printable. */
#include "cases.h"

#include <errno.h>

static void a_failure_reads_from_outside_to_inside(void **state)
{
    (void)state;
    struct error err;

    assert_int_equal(error_set(&err, ERROR_SETUP, ENOENT, "open %s", "evalx.db"), -1);
    assert_string_equal(err.text, "open evalx.db: No such file or directory");
    assert_int_equal(error_within(&err, "start store"), -1);
    assert_string_equal(err.text, "start store: open evalx.db: No such file or directory");
    assert_int_equal(err.kind, ERROR_SETUP);
    assert_int_equal(err.os, ENOENT);
}

static void a_field_may_come_from_the_error_itself(void **state)
{
    (void)state;
    struct error err;

    (void)error_field(&err, "[2].code", "first");
    (void)error_field(&err, err.field, "second %d", 2);
    assert_string_equal(err.field, "[2].code");
    assert_string_equal(err.text, "second 2");
    assert_int_equal(err.kind, ERROR_REQUEST);
}

static void a_long_text_is_cut_between_characters(void **state)
{
    (void)state;
    struct error err;
    char quoted[1000];

    for (size_t shift = 0; shift < 4; shift++) {
        memset(quoted, 'a', sizeof quoted);
        for (size_t i = shift; i + 4 < sizeof quoted; i += 3)
            memcpy(quoted + i, "\xe2\x82\xac", 3);
        quoted[sizeof quoted - 1] = '\0';
        (void)error_set(&err, ERROR_BUG, 0, "%s", quoted);
        assert_true(text_is_utf8(text_of(err.text)));
        assert_in_range(strlen(err.text), sizeof err.text - 4, sizeof err.text - 1);
        (void)error_within(&err, "around");
        assert_true(text_is_utf8(text_of(err.text)));
    }
}

static void quoted_bytes_are_made_harmless(void **state)
{
    (void)state;
    struct error err;

    (void)error_field(&err, "a\nb\xff", "got \"%s\"", "x\n\x1b[2J\xc3(\xed\xa0\x80");
    assert_true(text_is_utf8(text_of(err.text)));
    assert_null(strchr(err.text, '\n'));
    assert_null(strchr(err.text, '\x1b'));
    assert_string_equal(err.field, "a b?");
}

static void every_kind_has_a_name(void **state)
{
    (void)state;
    for (enum error_kind one = ERROR_NONE; one <= ERROR_BUG; one++)
        for (enum error_kind other = ERROR_NONE; other < one; other++)
            assert_string_not_equal(error_kind_name(one), error_kind_name(other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_reads_from_outside_to_inside),
        cmocka_unit_test(a_field_may_come_from_the_error_itself),
        cmocka_unit_test(a_long_text_is_cut_between_characters),
        cmocka_unit_test(quoted_bytes_are_made_harmless),
        cmocka_unit_test(every_kind_has_a_name),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
