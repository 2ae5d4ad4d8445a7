/* Clocks, tokens and hashes. */
#include "cases.h"

#include "base/clock.h"
#include "base/hash.h"
#include "model/token.h"

static void a_time_is_written_as_iso_8601(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *iso;
    } rows[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { 951782400123, "2000-02-29T00:00:00.123Z" },
        { 1769860800999, "2026-01-31T12:00:00.999Z" },
        { 253402300799999, "9999-12-31T23:59:59.999Z" },
        { UINT64_MAX, "9999-12-31T23:59:59.999Z" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        char iso[CLOCK_ISO_BYTES];
        clock_iso(rows[i].ms, iso);
        assert_string_equal(iso, rows[i].iso);
    }
}

static void a_fake_clock_stands_still_and_the_real_clock_runs(void **state)
{
    (void)state;
    clock_fake(5, 7);
    assert_int_equal(clock_wall_ms(), 5);
    assert_int_equal(clock_mono_us(), 7);
    clock_real();
    uint64_t before = clock_mono_us();
    assert_true(clock_wall_ms() > UINT64_C(1700000000000));
    assert_true(clock_mono_us() >= before);
}

static void tokens_sort_by_time_and_do_not_repeat(void **state)
{
    (void)state;
    char tokens[1000][TOKEN_BYTES];

    for (size_t i = 0; i < LEN(tokens); i++) {
        clock_fake(1000 + i, 0);
        token_new(tokens[i]);
        assert_int_equal(strlen(tokens[i]), TOKEN_LEN);
        assert_true(token_is_valid(text_of(tokens[i])));
        if (i > 0)
            assert_true(strcmp(tokens[i - 1], tokens[i]) < 0);
    }
    clock_fake(UINT64_C(0xffffffffffff), 0);
    token_new(tokens[0]);
    assert_memory_equal(tokens[0], "7ZZZZZZZZZ", 10);
    token_new(tokens[1]);
    assert_string_not_equal(tokens[0], tokens[1]);
    clock_real();
}

/* 80 random bits: over many tokens every bit of every random character is seen both ways. */
static void every_random_bit_moves(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    unsigned ones[16] = { 0 }, zeros[16] = { 0 };
    char token[TOKEN_BYTES];

    for (int i = 0; i < 200; i++) {
        token_new(token);
        for (size_t k = 0; k < 16; k++) {
            unsigned value = (unsigned)(strchr(alphabet, token[10 + k]) - alphabet);
            ones[k] |= value;
            zeros[k] |= ~value & 31;
        }
    }
    for (size_t k = 0; k < 16; k++) {
        assert_int_equal(ones[k], 31);
        assert_int_equal(zeros[k], 31);
    }
}

static void invalid_tokens_are_refused(void **state)
{
    (void)state;
    static const struct text wrong[] = {
        { "", 0 },
        { "01ARZ3NDEKTSV4RRFFQ69G5FA", 25 },
        { "01ARZ3NDEKTSV4RRFFQ69G5FAVX", 27 },
        { "01arz3ndektsv4rrffq69g5fav", 26 },
        { "81ARZ3NDEKTSV4RRFFQ69G5FAV", 26 }, /* beyond 48 bits */
        { "01ARZ3NDEKTSV4RRFFQ69G5FAU", 26 }, /* no U in the alphabet */
        { "01ARZ3NDEKTSV4RRFFQ69G5FA\0", 26 },
        { "01ARZ3NDEKTSV4RRFFQ69G5F:V", 26 },
    };
    assert_true(token_is_valid(TEXT("01ARZ3NDEKTSV4RRFFQ69G5FAV")));
    for (size_t i = 0; i < LEN(wrong); i++)
        assert_false(token_is_valid(wrong[i]));
}

static void a_hash_depends_on_the_bounds_of_its_parts(void **state)
{
    (void)state;
    char one[HASH_HEX_BYTES], other[HASH_HEX_BYTES];
    struct hash hash;

    hash_start(&hash);
    hash_finish(&hash, one);
    assert_string_equal(one, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_start(&hash);
    hash_add(&hash, TEXT("ab"));
    hash_add(&hash, TEXT("c"));
    hash_finish(&hash, one);
    hash_start(&hash);
    hash_add(&hash, TEXT("a"));
    hash_add(&hash, TEXT("bc"));
    hash_finish(&hash, other);
    assert_string_not_equal(one, other);
    hash_start(&hash);
    hash_add(&hash, TEXT("ab"));
    hash_add(&hash, TEXT("c"));
    hash_finish(&hash, other);
    assert_string_equal(one, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_written_as_iso_8601),
        cmocka_unit_test(a_fake_clock_stands_still_and_the_real_clock_runs),
        cmocka_unit_test(tokens_sort_by_time_and_do_not_repeat),
        cmocka_unit_test(every_random_bit_moves),
        cmocka_unit_test(invalid_tokens_are_refused),
        cmocka_unit_test(a_hash_depends_on_the_bounds_of_its_parts),
    };
    return cmocka_run_group_tests_name("clock, token and hash", tests, NULL, NULL);
}
