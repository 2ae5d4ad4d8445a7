/* cases: what every unit test starts with. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/text.h"

#define LEN(array) (sizeof(array) / sizeof *(array))

/* 0 is expected; a failure shows its text. */
#define assert_ok(call, err)                                                                                           \
    do {                                                                                                               \
        (err) = (struct error){ 0 };                                                                                   \
        if ((call) < 0)                                                                                                \
            fail_msg("%s: [%s] %s", #call, (err).field, (err).text);                                                   \
    } while (0)

#define assert_text_equal(text, literal)                                                                               \
    do {                                                                                                               \
        assert_int_equal((text).len, sizeof(literal) - 1);                                                             \
        assert_memory_equal((text).len > 0 ? (text).at : "", literal, sizeof(literal) - 1);                            \
    } while (0)

#define assert_contains(haystack, needle)                                                                              \
    do {                                                                                                               \
        if (strstr((haystack), (needle)) == NULL)                                                                      \
            fail_msg("\"%s\" does not contain \"%s\"", (haystack), (needle));                                          \
    } while (0)
