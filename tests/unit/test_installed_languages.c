/* Which languages are available on this machine. */
#include "sandbox/installed_languages.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cases.h"

static void needs_are_looked_up_inside_the_image(void **state)
{
    (void)state;
    char images[] = "/tmp/evalx-images-XXXXXX";
    char image[64], link[80], path[80];
    struct text needs[] = { TEXT("/bin/sh") };
    struct language list[] = {
        { .id = TEXT("a"), .image = TEXT("host"), .needs = needs, .needs_len = 1 },
        { .id = TEXT("b"), .image = TEXT("box"), .needs = needs, .needs_len = 1 },
        { .id = TEXT("c"), .image = TEXT("none"), .needs = needs, .needs_len = 0 },
    };
    struct languages some = { .list = list, .len = LEN(list) };

    arena_init(&some.arena, 65536);
    assert_non_null(mkdtemp(images));
    (void)snprintf(image, sizeof image, "%s/box", images);
    assert_int_equal(mkdir(image, 0755), 0);
    /* /bin of the image is a link to /bin.  Inside the image that is the link itself, so /bin/sh does not exist. */
    (void)snprintf(link, sizeof link, "%s/bin", image);
    assert_int_equal(symlink("/bin", link), 0);
    installed_languages_probe(&some, images, true);
    assert_true(list[0].available);
    assert_false(list[1].available);
    assert_false(list[2].available);

    unlink(link);
    assert_int_equal(mkdir(link, 0755), 0);
    (void)snprintf(image, sizeof image, "%s/box/bin", images);
    (void)snprintf(path, sizeof path, "%s/sh", image);
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    (void)close(fd);
    installed_languages_probe(&some, images, true);
    assert_true(list[1].available);
    unlink(path);
    rmdir(image);
    (void)snprintf(image, sizeof image, "%s/box", images);
    rmdir(image);
    rmdir(images);
    arena_done(&some.arena);
}

/* Only what a script reads belongs to the fingerprint of what it makes. */
static void a_script_that_reads_a_setting_is_told_it(void **state)
{
    (void)state;
    struct language list[] = {
        { .id = TEXT("a"), .image = TEXT("host"), .prepare_script = TEXT("make") },
        { .id = TEXT("b"), .image = TEXT("host"), .prepare_script = TEXT("echo $EVALX_CPP_TEMPLATES") },
        { .id = TEXT("c"), .image = TEXT("host") },
    };
    struct languages some = { .list = list, .len = LEN(list) };

    arena_init(&some.arena, 1 << 20);
    installed_languages_probe(&some, "/nonexistent", true);
    assert_string_equal(list[1].prepare_env, "EVALX_CPP_TEMPLATES=1");
    installed_languages_probe(&some, "/nonexistent", false);
    assert_null(list[0].prepare_env);
    assert_string_equal(list[1].prepare_env, "EVALX_CPP_TEMPLATES=0");
    assert_null(list[2].prepare_env);
    arena_done(&some.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(needs_are_looked_up_inside_the_image),
        cmocka_unit_test(a_script_that_reads_a_setting_is_told_it),
    };
    return cmocka_run_group_tests_name("installed_languages", tests, NULL, NULL);
}
