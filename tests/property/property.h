/*
 * property: random inputs.  The seed is printed, and EVALX_SEED=N repeats a run.
 */
#pragma once
#include <time.h>

#include "../unit/cases.h"

static uint64_t seed;

static uint64_t random_u64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(2685821657736338717);
}

static uint64_t random_below(uint64_t end)
{
    return (random_u64() >> 11) % end;
}

static void choose_seed(void)
{
    const char *wanted = getenv("EVALX_SEED");

    seed = wanted != NULL ? strtoull(wanted, NULL, 10) : (uint64_t)time(NULL) * 1000003;
    if (seed == 0)
        seed = 1; /* xorshift never leaves 0 */
    print_message("EVALX_SEED=%llu repeats this run\n", (unsigned long long)seed);
}

/* Mostly text, with blanks, NUL, characters of every length, and ill-formed UTF-8. */
static inline struct text random_bytes(char *at, size_t max)
{
    static const char *const pieces[] = { "a",
                                          "b",
                                          " ",
                                          "\n",
                                          "\t",
                                          "\r",
                                          "0",
                                          "\"",
                                          "\\",
                                          "\xc3\xa9",
                                          "\xe2\x82\xac",
                                          "\xf0\x9f\x98\x80",
                                          "\xff",
                                          "\xc3",
                                          "\xed\xa0\x80",
                                          "\xf4\x90",
                                          "\xe2\x82" };
    size_t len = 0, wanted = (size_t)random_below(max + 1);
    bool is_clean = random_below(2) == 0;

    while (len < wanted) {
        size_t which = (size_t)random_below(is_clean ? 12 : LEN(pieces) + 1);
        if (which == LEN(pieces) || random_below(40) == 0) {
            at[len++] = '\0';
            continue;
        }
        size_t piece = strlen(pieces[which]);
        if (len + piece > max)
            break;
        memcpy(at + len, pieces[which], piece);
        len += piece;
    }
    return (struct text){ at, len };
}
