/* Any submission is decoded as it was encoded. */
#include "property.h"

#include "../unit/fixture.h"
#include "codec/request_json.h"
#include "codec/submission_json.h"

#define ROUNDS 1500

static struct arena *arena; /* of the submission under construction */

static struct text random_text(size_t max)
{
    char bytes[400];
    struct text copy;
    struct error err;

    assert_ok(arena_copy(arena, random_bytes(bytes, max < sizeof bytes ? max : sizeof bytes), &copy, &err), err);
    return copy;
}

/* Without NUL, as versions and arguments are, but not always UTF-8. */
static struct text random_word(void)
{
    struct text text = random_text(20);

    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] == '\0')
            text.len = i;
    return text;
}

static void *room(size_t count, size_t each)
{
    struct error err;
    void *piece = arena_alloc_array(arena, count, each, &err);
    assert_non_null(piece);
    return piece;
}

static void random_limits(struct limits *limits)
{
    limits->cpu_us = random_u64() >> (1 + random_below(60));
    limits->wall_us = random_u64() >> (1 + random_below(60));
    limits->memory_bytes = random_u64() >> (1 + random_below(60));
    limits->stack_bytes = random_u64() >> 1;
    limits->output_bytes = random_below(1000);
    limits->file_bytes = 0;
    limits->disk_bytes = INT64_MAX;
    limits->processes = (uint32_t)random_u64();
    limits->open_files = UINT32_MAX;
}

static void random_submission(struct submission *submission)
{
    *submission = (struct submission){ .created_ms = random_below(1ull << 50),
                                       .priority = (enum submission_priority)random_below(PRIORITY_COUNT_) };
    arena_init(&submission->arena, 1u << 24);
    arena = &submission->arena;
    token_new(submission->token);
    submission->programs_len = 1 + (size_t)random_below(3);
    submission->programs = room(submission->programs_len, sizeof *submission->programs);
    for (size_t i = 0; i < submission->programs_len; i++) {
        static struct text names[] = { { "main.c", 6 }, { "a/b", 3 }, { "\xc3\xa9 \"", 4 } };
        struct program *program = &submission->programs[i];
        program->language = &languages.list[random_below(languages.len)];
        program->assertions = random_below(2) == 0;
        program->version = random_below(2) == 0 ? TEXT("latest") : TEXT("3.9 \"\xc3\xa9\"");
        program->files_len = 1 + (size_t)random_below(LEN(names));
        program->files = room(program->files_len, sizeof *program->files);
        for (size_t k = 0; k < program->files_len; k++)
            program->files[k] = (struct file){ .name = names[k], .content = random_text(300) };
    }
    submission->tests_len = 1 + (size_t)random_below(6);
    submission->tests = room(submission->tests_len, sizeof *submission->tests);
    for (size_t i = 0; i < submission->tests_len; i++) {
        struct test *test = &submission->tests[i];
        test->program = (uint32_t)random_below(submission->programs_len);
        test->element = (uint32_t)random_u64();
        test->index = (uint32_t)random_below(3);
        test->input = random_text(100);
        test->args_len = (size_t)random_below(4);
        test->args = room(test->args_len, sizeof *test->args);
        for (size_t k = 0; k < test->args_len; k++)
            test->args[k] = random_word();
        test->has_expected = random_below(2) == 0;
        if (test->has_expected)
            test->expected = random_text(50);
        test->wants_base64 = random_below(2) == 0;
        test->network = (enum run_network)random_below(RUN_NETWORK_COUNT_);
        if (i > 0 && random_below(2) == 0)
            test->limits = test[-1].limits;
        else
            random_limits(&test->limits);
    }
}

static void assert_same_programs(const struct submission *a, const struct submission *b)
{
    assert_int_equal(a->programs_len, b->programs_len);
    for (size_t i = 0; i < a->programs_len; i++) {
        const struct program *one = &a->programs[i], *other = &b->programs[i];
        assert_ptr_equal(one->language, other->language);
        assert_true(text_equal(one->version, other->version));
        assert_int_equal(one->assertions, other->assertions);
        assert_int_equal(one->files_len, other->files_len);
        for (size_t k = 0; k < one->files_len; k++) {
            assert_true(text_equal(one->files[k].name, other->files[k].name));
            assert_true(text_equal(one->files[k].content, other->files[k].content));
        }
    }
}

static void assert_same_tests(const struct submission *a, const struct submission *b)
{
    assert_int_equal(a->tests_len, b->tests_len);
    for (size_t i = 0; i < a->tests_len; i++) {
        const struct test *one = &a->tests[i], *other = &b->tests[i];
        assert_int_equal(one->program, other->program);
        assert_int_equal(one->element, other->element);
        assert_int_equal(one->index, other->index);
        assert_true(text_equal(one->input, other->input));
        assert_int_equal(one->args_len, other->args_len);
        for (size_t k = 0; k < one->args_len; k++)
            assert_true(text_equal(one->args[k], other->args[k]) && other->args[k].at[other->args[k].len] == '\0');
        assert_int_equal(one->has_expected, other->has_expected);
        assert_true(text_equal(one->expected, other->expected));
        assert_int_equal(one->wants_base64, other->wants_base64);
        assert_int_equal(one->network, other->network);
        assert_memory_equal(&one->limits, &other->limits, sizeof one->limits);
    }
}

static void a_stored_submission_is_read_back_unchanged(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        auto_buf struct buf stored = { .max = 1 << 24 };
        struct submission before, after;
        struct error err;

        random_submission(&before);
        assert_ok(submission_encode(&before, &stored, &err), err);
        assert_ok(submission_decode(buf_text(&stored), &languages, &after, &err), err);
        assert_string_equal(before.token, after.token);
        assert_true(before.created_ms == after.created_ms);
        assert_int_equal(before.priority, after.priority);
        assert_same_programs(&before, &after);
        assert_same_tests(&before, &after);
        submission_done(&before);
        submission_done(&after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stored_submission_is_read_back_unchanged),
    };
    request_init();
    choose_seed();
    return cmocka_run_group_tests_name("round trip of submissions", tests, set_up, tear_down);
}
