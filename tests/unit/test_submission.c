/* States, queues and file names. */
#include "fixture.h"

#include "model/submission.h"

static void file_names_stay_in_their_folder(void **state)
{
    (void)state;
    static const struct {
        struct text name;
        bool valid;
    } rows[] = {
        { { "a", 1 }, true },
        { { "a/b.c", 5 }, true },
        { { "...", 3 }, true },
        { { "a b", 3 }, true },
        { { "-x", 2 }, true },
        { { "\xc3\xa9", 2 }, true },
        { { "a/b/c/d/e/f/g/h", 15 }, true },
        { { "a/b/c/d/e/f/g/h/i", 17 }, false },
        { { "", 0 }, false },
        { { "/a", 2 }, false },
        { { "a/", 2 }, false },
        { { "a//b", 4 }, false },
        { { ".", 1 }, false },
        { { "..", 2 }, false },
        { { "a/../b", 6 }, false },
        { { "a/.", 3 }, false },
        { { "a\\b", 3 }, false },
        { { "a\0b", 3 }, false },
        { { "\xff", 1 }, false },
        { { "../a", 4 }, false },
    };
    char longest[202];

    for (size_t i = 0; i < LEN(rows); i++) {
        print_message("  %.*s\n", TEXT_ARG(rows[i].name));
        assert_int_equal(file_name_is_valid(rows[i].name), rows[i].valid);
    }
    memset(longest, 'a', sizeof longest);
    assert_true(file_name_is_valid((struct text){ longest, 200 }));
    assert_false(file_name_is_valid((struct text){ longest, 201 }));
}

static void file_names_lose_what_means_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *name, *wanted;
    } rows[] = {
        { "a", "a" },
        { "./dir1/x", "dir1/x" },
        { "dir1//x", "dir1/x" },
        { "a/./b", "a/b" },
        { "././/a", "a" },
        { "...", "..." },
        { ".a/b.", ".a/b." },
        { "a///././b", "a/b" },
        { "/a", "/a" },
        { "//a", "/a" },
        { "a/", "a/" },
        { "a//", "a/" },
        { "./", "" },
        { ".", "." },
        { "a/.", "a/." },
        { "./../a", "../a" },
        { "a/.//../b", "a/../b" },
        { "", "" },
    };

    for (size_t i = 0; i < LEN(rows); i++) {
        char got[32];
        size_t len = file_name_normalise(text_of(rows[i].name), got);
        print_message("  %s -> %.*s\n", rows[i].name, (int)len, got);
        assert_true(text_equal((struct text){ got, len }, text_of(rows[i].wanted)));
    }
}

static void the_queue_is_the_language_or_mixed(void **state)
{
    (void)state;
    struct program programs[] = {
        { .language = languages_find(&languages, TEXT("c")) },
        { .language = languages_find(&languages, TEXT("gcc")) },
        { .language = languages_find(&languages, TEXT("python")) },
    };
    struct submission submission = { .programs = programs, .programs_len = 2 };

    assert_text_equal(submission_queue(&submission), "c");
    submission.programs_len = 3;
    assert_text_equal(submission_queue(&submission), "mixed");
}

static void states_as_clients_read_them(void **state)
{
    (void)state;
    assert_string_equal(submission_state_name(SUBMISSION_QUEUED), "Queued");
    assert_string_equal(submission_state_name(SUBMISSION_PROCESSING), "Processing");
    assert_string_equal(submission_state_name(SUBMISSION_COMPLETED), "Completed");
    assert_string_equal(submission_state_name(SUBMISSION_FAILED), "Failed");
    assert_false(submission_state_is_final(SUBMISSION_PROCESSING));
    assert_true(submission_state_is_final(SUBMISSION_FAILED));
    submission_done(&(struct submission){ 0 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_names_stay_in_their_folder),
        cmocka_unit_test(file_names_lose_what_means_nothing),
        cmocka_unit_test(the_queue_is_the_language_or_mixed),
        cmocka_unit_test(states_as_clients_read_them),
    };
    return cmocka_run_group_tests_name("submission", tests, set_up, tear_down);
}
