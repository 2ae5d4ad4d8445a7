/* Allocations of an arena are zeroed, aligned, disjoint and bounded. */
#include "cases.h"

#include <stdalign.h>

#include "base/arena.h"

static void allocations_are_zeroed_aligned_and_disjoint(void **state)
{
    (void)state;
    struct arena arena;
    struct error err;
    unsigned char *pieces[400];
    size_t bytes[LEN(pieces)];
    uint64_t seed = 12345;

    arena_init(&arena, 64u << 20);
    for (size_t i = 0; i < LEN(pieces); i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (seed >> 33) % (i % 10 == 0 ? 100000 : 300);
        pieces[i] = arena_alloc(&arena, bytes[i], &err);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        for (size_t k = 0; k < bytes[i]; k++)
            assert_int_equal(pieces[i][k], 0);
        memset(pieces[i], (int)(i % 255) + 1, bytes[i]);
    }
    for (size_t i = 0; i < LEN(pieces); i++)
        for (size_t k = 0; k < bytes[i]; k++)
            assert_int_equal(pieces[i][k], i % 255 + 1);
    arena_done(&arena);
    assert_int_equal(arena.used, 0);
}

static void the_maximum_holds(void **state)
{
    (void)state;
    struct arena arena;
    struct error err;

    arena_init(&arena, 1024);
    assert_non_null(arena_alloc(&arena, 1000, &err));
    assert_null(arena_alloc(&arena, 100, &err));
    assert_int_equal(err.kind, ERROR_REQUEST);
    assert_non_null(arena_alloc(&arena, 16, &err)); /* what fits still does */
    assert_null(arena_alloc(&arena, SIZE_MAX, &err));
    assert_null(arena_alloc_array(&arena, SIZE_MAX / 2, 3, &err));
    arena_done(&arena);
}

static void a_copy_ends_in_nul(void **state)
{
    (void)state;
    struct arena arena;
    struct error err;
    struct text copy;

    arena_init(&arena, 1024);
    assert_ok(arena_copy(&arena, TEXT("a\0b"), &copy, &err), err);
    assert_memory_equal(copy.at, "a\0b\0", 4);
    assert_ok(arena_copy(&arena, (struct text){ NULL, 0 }, &copy, &err), err);
    assert_string_equal(copy.at, "");
    arena_done(&arena);
    arena_done(&(struct arena){ 0 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_zeroed_aligned_and_disjoint),
        cmocka_unit_test(the_maximum_holds),
        cmocka_unit_test(a_copy_ends_in_nul),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
