/* Any bytes a program may print: repair, base64, JSON strings and the comparison of outputs. */
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

static void repair(struct text text, struct buf *ret)
{
    auto_buf struct buf twice = { .max = SIZE_MAX / 4 };
    struct error err;
    bool replaced;

    MUST(text_repair_utf8(text, ret, &replaced, &err));
    assert(replaced == !text_is_utf8(text));
    assert(text_is_utf8(buf_text(ret)));
    MUST(text_repair_utf8(buf_text(ret), &twice, &replaced, &err));
    assert(!replaced && text_equal(buf_text(ret), buf_text(&twice)));
}

static void write_as_json(struct text text, struct text repaired)
{
    auto_buf struct buf json = { .max = SIZE_MAX / 4 };
    struct error err;
    bool replaced;

    MUST(json_write_string(&json, text, &replaced, &err));
    assert(replaced == !text_is_utf8(text));
    json_t *read = json_loadb(json.at, json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert(json_is_string(read));
    assert(text_equal((struct text){ json_string_value(read), json_string_length(read) }, repaired));
    json_decref(read);
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
    auto_buf struct buf repaired = { .max = SIZE_MAX / 4 };
    struct error err;

    repair(text, &repaired);
    write_as_json(text, buf_text(&repaired));
    there_and_back(text);
    assert(judge_same_output(text, text));
    assert(judge_same_output(head, tail) == judge_same_output(tail, head));
    (void)error_set(&err, ERROR_BUG, 0, "%.*s", (int)(len < 1000 ? len : 1000), (const char *)bytes);
    assert(text_is_utf8(text_of(err.text)));
    return 0;
}
