/* Any bytes a program may print: JSON strings and their repair, base64, and the comparison of outputs. */
#include "fuzz.h"

#include <jansson.h>

#include "base/base64.h"
#include "base/json_write.h"
#include "model/judge.h"

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) < 0)                                                                                                \
            __builtin_trap();                                                                                          \
    } while (0)

/* The text as a JSON reader gets it: ill-formed UTF-8 is repaired. */
static void repair(struct text text, struct buf *ret, bool *ret_replaced)
{
    auto_buf struct buf json = { .max = SIZE_MAX / 4 };
    struct error err;

    MUST(json_write_string(&json, text, ret_replaced, &err));
    json_t *read = json_loadb(json.at, json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert(json_is_string(read));
    MUST(buf_append(ret, json_string_value(read), json_string_length(read), &err));
    json_decref(read);
}

static void repair_twice(struct text text)
{
    auto_buf struct buf once = { .max = SIZE_MAX / 4 }, twice = { .max = SIZE_MAX / 4 };
    bool replaced;

    repair(text, &once, &replaced);
    assert(replaced == !text_is_utf8(text));
    assert(text_is_utf8(buf_text(&once)));
    repair(buf_text(&once), &twice, &replaced);
    assert(!replaced && text_equal(buf_text(&once), buf_text(&twice)));
}

static void there_and_back(struct text text)
{
    auto_buf struct buf encoded = { .max = SIZE_MAX / 4 }, decoded = { .max = SIZE_MAX / 4 };
    struct error err;

    MUST(base64_encode(text, &encoded, &err));
    MUST(base64_decode(buf_text(&encoded), &decoded, &err));
    assert(text_equal(text, buf_text(&decoded)));
    buf_clear(&decoded);
    if (base64_decode(text, &decoded, &err) == 0) {
        auto_buf struct buf again = { .max = SIZE_MAX / 4 };
        buf_clear(&encoded);
        MUST(base64_encode(buf_text(&decoded), &encoded, &err));
        MUST(base64_decode(buf_text(&encoded), &again, &err));
        assert(text_equal(buf_text(&decoded), buf_text(&again)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct text text = { (const char *)bytes, len };
    struct text head = { text.at, len / 2 }, tail = { text.at + len / 2, len - len / 2 };
    struct error err;

    repair_twice(text);
    there_and_back(text);
    assert(judge_same_output(text, text));
    assert(judge_same_output(head, tail) == judge_same_output(tail, head));
    (void)error_set(&err, ERROR_BUG, 0, "%.*s", (int)(len < 1000 ? len : 1000), (const char *)bytes);
    assert(text_is_utf8(text_of(err.text)));
    return 0;
}
