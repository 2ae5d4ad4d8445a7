/* Images that extend another one: the variants of languages, and how a request chooses one. */
#include "fixture.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/request_json.h"
#include "codec/result_json.h"
#include "model/image_extension.h"
#include "model/language_choice.h"

#define LANGUAGE "[language]\nid = x\nname = X\nversion = 1\nimage = host\nsource = main.x\nrun = /bin/x\nsuite = s\n"
#define VERSIONS "[version 2]\naliases = xx\nimage = x-2\n[version 2-a]\nimage = x-2\n[version 3]\nimage = x-3\n"

static char folder[] = "/tmp/evalx-extensions-XXXXXX";

static void write_file(const char *name, const char *content)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0 && fclose(file) == 0);
}

static void remove_file(const char *name)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

/* The folder holds both the language files and the extensions. */
static void load(struct languages *ret)
{
    struct error err;
    (void)snprintf(config.images, sizeof config.images, "%s", folder);
    assert_ok(languages_load(folder, &config, ret, &err), err);
    for (size_t i = 0; i < ret->len; i++)
        ret->list[i].available = true;
}

static int make_folder(void **state)
{
    if (set_up(state) < 0 || mkdtemp(folder) == NULL)
        return -1;
    write_file("x.conf", LANGUAGE VERSIONS);
    write_file("course.extension", "# three packages\n[image]\non = x-2\npypi = a==1 b\n  c\n");
    write_file("other.extension", "[image]\non = x-3\nsuite = t\n");
    return 0;
}

static int remove_folder(void **state)
{
    remove_file("x.conf");
    remove_file("course.extension");
    remove_file("other.extension");
    return rmdir(folder) < 0 ? -1 : tear_down(state);
}

static void every_version_in_the_image_gets_a_variant(void **state)
{
    (void)state;
    struct languages loaded;

    load(&loaded);
    assert_int_equal(loaded.len, 4 + 3);
    const struct language *variant = languages_find(&loaded, TEXT("x-2@course"));
    assert_non_null(variant);
    assert_text_equal(variant->base, "x-2");
    assert_text_equal(variant->of, "x");
    assert_text_equal(variant->image, "course");
    assert_text_equal(variant->version, "2");
    assert_text_equal(variant->recipe.on, "x-2");
    assert_text_equal(variant->recipe.suite, "s");
    assert_int_equal(variant->recipe.pypi_len, 3);
    assert_int_equal(variant->aliases_len, 0);
    assert_non_null(languages_find(&loaded, TEXT("x-2-a@course")));
    variant = languages_find(&loaded, TEXT("x-3@other"));
    assert_text_equal(variant->recipe.suite, "t");
    assert_null(languages_find(&loaded, TEXT("x@course")));
    languages_done(&loaded);
}

static void a_file_with_a_mistake_is_left_out_alone(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "bad.extension", "[image]\n" },
        { "bad.extension", "on = x-2\n[image]\ncolour = red\n" },
        { "bad.extension", "[image]\non = x-9\n" },
        { "bad.extension", "[image]\non = course\n" },
        { "bad.extension", "[image]\non = x-2\n[limits]\nprocesses = 0\n" },
        { "bad.extension", "run = /bin/evil\n[image]\non = x-2\n" },
        { "x-3.extension", "[image]\non = x-2\n" },
        { "Bad.extension", "[image]\non = x-2\n" },
        { "2bad.extension", "[image]\non = x-2\n" },
        { "host.extension", "[image]\non = x-2\n" },
        { "a2345678901234567890123456789012.extension", "[image]\non = x-2\n" },
    };
    struct languages loaded;

    for (size_t i = 0; i < LEN(rows); i++) {
        print_message("  %s: %s\n", rows[i][0], rows[i][1]);
        write_file(rows[i][0], rows[i][1]);
        load(&loaded);
        assert_int_equal(loaded.len, 4 + 3);
        languages_done(&loaded);
        remove_file(rows[i][0]);
    }
}

static void a_variant_is_only_chosen_by_its_image_or_id(void **state)
{
    (void)state;
    static const struct {
        const char *name, *version, *image, *id;
    } rows[] = {
        { "x", "2", "course", "x-2@course" },
        { "x", "1.9", "course", NULL },
        { "x", "latest", "course", "x-2@course" },
        { "xx", "*", "course", "x-2@course" },
        { "x-2-a", "*", "course", "x-2-a@course" },
        { "x", "3", "other", "x-3@other" },
        { "x", "3", "course", NULL },
        { "x-3", "*", "course", NULL },
        { "x", "2", "x-2", NULL },
        { "x", "2", "host", NULL },
    };
    struct languages loaded;

    load(&loaded);
    for (size_t i = 0; i < LEN(rows); i++) {
        print_message("  %s %s %s\n", rows[i].name, rows[i].version, rows[i].image);
        const struct language *named;
        struct text name = text_of(rows[i].name), version = text_of(rows[i].version);
        const struct language *chosen = languages_choose(&loaded, name, version, text_of(rows[i].image), &named);
        if (rows[i].id == NULL)
            assert_null(chosen);
        else
            assert_string_equal(chosen->id.at, rows[i].id);
        assert_int_equal(languages_choose(&loaded, name, version, TEXT(""), &named)->base.len, 0);
    }
    const struct language *named;
    assert_text_equal(languages_choose(&loaded, TEXT("x-2@course"), TEXT("*"), TEXT(""), &named)->id, "x-2@course");
    languages_done(&loaded);
}

static void lists_of_images_are_read_by_name(void **state)
{
    (void)state;
    assert_true(image_list_has(TEXT("*"), TEXT("a")) && image_list_has(TEXT("b,a"), TEXT("a")));
    assert_false(image_list_has(TEXT(""), TEXT("a")) || image_list_has(TEXT("ab,ba"), TEXT("a")));
    assert_false(image_list_has(TEXT("a,b"), TEXT("a,b")));
    assert_true(image_list_is_valid(TEXT("")) && image_list_is_valid(TEXT("*")) && image_list_is_valid(TEXT("a,b-2")));
    assert_false(image_list_is_valid(TEXT("a,")) || image_list_is_valid(TEXT(",a")) || image_list_is_valid(TEXT("A")) ||
                 image_list_is_valid(TEXT("a,*")) || image_list_is_valid(TEXT("a, b")));
}

static void a_request_names_an_image_that_it_may_use(void **state)
{
    (void)state;
    static const struct {
        const char *language, *version, *image; /* as JSON */
        const char *allowed, *id, *error;
    } rows[] = {
        { "x", "2", "\"course\"", "*", "x-2@course", NULL },
        { "x", "2", "\"course\"", "other,course", "x-2@course", NULL },
        { "x", "2", "null", "", "x-2", NULL },
        { "x", "2", "\"\"", "", "x-2", NULL },
        { "x-2@course", "*", "null", "course", "x-2@course", NULL },
        { "x", "2", "\"nope\"", "*", NULL, "version of x: course (x-2-a), course (x-2), other (x-3); got \"nope\"" },
        { "x", "3", "\"course\"", "*", NULL, "expected one that extends this version of x" },
        { "x-3", "*", "\"nope\"", "*", NULL, "version of x-3: other (x-3); got \"nope\"" },
        { "x", "2", "\"course\"", "other", NULL, "version of x: other (x-3); got \"course\"" },
        { "x", "2", "\"course\"", "", NULL, "expected none" },
        { "x-2@course", "*", "null", "other", NULL, "expected none" },
        { "x", "2", "\"../etc\"", "*", NULL, "got \"../etc\"" },
        { "x", "2", "7", "*", NULL, "expected the name of an image, got 7" },
        { "x", "2", "\"a\\u0000b\"", "*", NULL, "expected text without NUL" },
    };
    struct languages loaded;

    load(&loaded);
    for (size_t i = 0; i < LEN(rows); i++) {
        struct submission submission;
        struct error err = { 0 };
        char body[200];
        (void)snprintf(body, sizeof body, "[{\"language\":\"%s\",\"version\":\"%s\",\"image\":%s,\"code\":\"c\"}]",
                       rows[i].language, rows[i].version, rows[i].image);
        print_message("  %s\n", body);
        int outcome =
            request_decode(text_of(body), REQUEST_BATCH, &loaded, text_of(rows[i].allowed), &config, &submission, &err);
        if (rows[i].error == NULL) {
            assert_ok(outcome, err);
            assert_string_equal(submission.programs[0].language->id.at, rows[i].id);
            assert_string_equal(submission_queue(&submission).at, rows[i].id);
            submission_done(&submission);
        } else {
            assert_int_equal(outcome, -1);
            assert_string_equal(err.field, "[0].image");
            assert_contains(err.text, rows[i].error);
        }
    }
    languages_done(&loaded);
}

static void elements_of_a_batch_inherit_the_image(void **state)
{
    (void)state;
    struct languages loaded;
    struct submission submission;
    struct error err = { 0 };

    load(&loaded);
    assert_ok(request_decode(TEXT("[{\"language\":\"x\",\"version\":\"2\",\"image\":\"course\",\"code\":\"c\"},"
                                  "{\"stdin\":\"1\"},{\"code\":\"d\"},"
                                  "{\"version\":\"3\",\"image\":\"other\"}]"),
                             REQUEST_BATCH, &loaded, TEXT("*"), &config, &submission, &err),
              err);
    assert_int_equal(submission.programs_len, 3);
    assert_text_equal(submission.programs[1].language->id, "x-2@course");
    assert_text_equal(submission.programs[2].language->id, "x-3@other");
    assert_text_equal(submission_queue(&submission), QUEUE_MIXED);
    submission_done(&submission);
    languages_done(&loaded);
}

static void a_result_names_language_and_image(void **state)
{
    (void)state;
    auto_buf struct buf out = { .max = 4096 };
    struct error err;
    struct result results[] = { { .language = TEXT("x-2@course"), .version = TEXT("2") },
                                { .language = TEXT("x-2"), .version = TEXT("2") } };

    assert_ok(results_encode(results, LEN(results), &out, &err), err);
    assert_contains(out.at, "\"language\":\"x-2\",\"version\":\"2\",\"image\":\"course\",\"test\":0");
    assert_contains(out.at, "\"language\":\"x-2\",\"version\":\"2\",\"test\":0");
}

static void a_variant_has_a_queue_of_each_version(void **state)
{
    (void)state;
    char queue[QUEUE_NAME_BYTES];
    char longest[] = "l234567890123456789012345678901@i234567890123456789012345678901";

    queue_name(text_of(longest), 99, queue);
    assert_int_equal(strlen(queue), sizeof longest - 1 + 3);
    assert_text_equal(queue_language(queue), longest);
    queue_name(TEXT("x-2@course"), 1, queue);
    assert_text_equal(queue_language(queue), "x-2@course");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_in_the_image_gets_a_variant),
        cmocka_unit_test(a_file_with_a_mistake_is_left_out_alone),
        cmocka_unit_test(a_variant_is_only_chosen_by_its_image_or_id),
        cmocka_unit_test(lists_of_images_are_read_by_name),
        cmocka_unit_test(a_request_names_an_image_that_it_may_use),
        cmocka_unit_test(elements_of_a_batch_inherit_the_image),
        cmocka_unit_test(a_result_names_language_and_image),
        cmocka_unit_test(a_variant_has_a_queue_of_each_version),
    };
    return cmocka_run_group_tests_name("image_extension", tests, make_folder, remove_folder);
}
