/* Properties of any bytes: repair in JSON, base64 and the comparison of outputs. */
#include "property.h"

#include <jansson.h>

#include "base/base64.h"
#include "base/json_write.h"
#include "model/judge.h"

#define ROUNDS 20000

/* The text as a JSON reader gets it: ill-formed UTF-8 is repaired. */
static void repair(struct text text, struct buf *ret, bool *ret_replaced)
{
    auto_buf struct buf json = { .max = SIZE_MAX / 4 };
    struct error err;

    assert_ok(json_write_string(&json, text, ret_replaced, &err), err);
    json_t *read = json_loadb(json.at, json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_true(json_is_string(read));
    assert_ok(buf_append(ret, json_string_value(read), json_string_length(read), &err), err);
    json_decref(read);
}

static void a_repair_makes_utf8_and_leaves_utf8_alone(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        char bytes[64];
        struct text text = random_bytes(bytes, sizeof bytes);
        auto_buf struct buf out = { .max = 3 * sizeof bytes };
        bool replaced;

        repair(text, &out, &replaced);
        assert_true(text_is_utf8(buf_text(&out)));
        assert_int_equal(replaced, !text_is_utf8(text));
        if (!replaced)
            assert_true(text_equal(text, buf_text(&out)));
    }
}

/* A repair never loses a whole character. */
static void every_whole_character_survives(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        char bytes[64];
        struct text text = random_bytes(bytes, sizeof bytes);
        auto_buf struct buf out = { .max = 3 * sizeof bytes };
        size_t before = 0, after = 0;
        bool replaced;

        repair(text, &out, &replaced);
        for (size_t i = 0; i < text.len; i++)
            before += (unsigned char)text.at[i] < 0x80;
        for (size_t i = 0; i < out.len; i++)
            after += (unsigned char)out.at[i] < 0x80;
        assert_int_equal(before, after); /* a broken character never removes an ASCII byte after it */
    }
}

static void base64_decodes_to_the_same_bytes(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        char bytes[300];
        struct text text = random_bytes(bytes, sizeof bytes);
        auto_buf struct buf encoded = { .max = 1000 }, spaced = { .max = 2000 }, decoded = { .max = sizeof bytes };
        struct error err;

        assert_ok(base64_encode(text, &encoded, &err), err);
        assert_int_equal(encoded.len, (text.len + 2) / 3 * 4);
        for (size_t i = 0; i < encoded.len; i++)
            assert_ok(buf_printf(&spaced, &err, "%c%s", encoded.at[i], random_below(9) == 0 ? "\r\n" : ""), err);
        assert_ok(base64_decode(buf_text(&spaced), &decoded, &err), err);
        assert_true(text_equal(text, buf_text(&decoded)));
    }
}

static void blanks_at_line_ends_change_no_verdict(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        char bytes[48];
        struct text text = random_bytes(bytes, sizeof bytes);
        auto_buf struct buf padded = { .max = 1000 };
        struct error err;

        for (size_t i = 0; i <= text.len; i++) {
            if (i == text.len || text.at[i] == '\n')
                for (uint64_t blanks = random_below(4); blanks > 0; blanks--)
                    assert_ok(buf_append(&padded, &" \t\r"[random_below(3)], 1, &err), err);
            if (i < text.len)
                assert_ok(buf_append(&padded, text.at + i, 1, &err), err);
        }
        for (uint64_t lines = random_below(3); lines > 0; lines--)
            assert_ok(buf_append(&padded, " \n", 2, &err), err);
        assert_true(judge_same_output(text, buf_text(&padded)));
        assert_true(judge_same_output(buf_text(&padded), text));
    }
}

static void any_other_change_changes_the_verdict(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        char bytes[48], changed[48];
        struct text text = random_bytes(bytes, sizeof bytes);
        if (text.len == 0)
            continue;
        size_t where = (size_t)random_below(text.len);
        memcpy(changed, text.at, text.len);
        if (strchr(" \t\r\n", changed[where]) != NULL && changed[where] != '\0')
            continue; /* the comparison may ignore it */
        changed[where] = changed[where] == 'x' ? 'y' : 'x';
        assert_false(judge_same_output(text, (struct text){ changed, text.len }));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repair_makes_utf8_and_leaves_utf8_alone),
        cmocka_unit_test(every_whole_character_survives),
        cmocka_unit_test(base64_decodes_to_the_same_bytes),
        cmocka_unit_test(blanks_at_line_ends_change_no_verdict),
        cmocka_unit_test(any_other_change_changes_the_verdict),
    };
    choose_seed();
    return cmocka_run_group_tests_name("properties of bytes", tests, NULL, NULL);
}
