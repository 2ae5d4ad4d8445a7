/* What was prepared is used only as long as what it was made from is the same. */
#include "fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/image_layers.h"
#include "model/language_file.h"
#include "sandbox/prepared.h"

static char images[] = "/tmp/evalx-prepared-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", images, name);
    return path;
}

static void write_file(const char *name, const char *text, time_t when)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    assert_int_equal(futimens(fd, times), 0);
    (void)close(fd);
}

/* A language of an image, with its name as it is prepared now. */
struct case_of {
    struct languages read;
    struct language language;
    char name[PREPARED_NAME_BYTES];
};

static const char *compile = "/cc";

static void read_language(struct case_of *c, const char *image, const char *env, const char *script)
{
    struct error err;
    struct layers layers;
    char text[1024];

    (void)snprintf(text, sizeof text,
                   "id = x\nname = X\nversion = 1\nimage = %s\nsource = m\ncompile = %s\n"
                   "run = /x {prepared}\nenv = A=%s\n[prepare]\ndepends = %s/cc /none\nscript = %s\n",
                   image, compile, env, strcmp(image, "host") == 0 ? images : "", script);
    assert_ok(languages_init(&c->read, &err), err);
    assert_ok(language_text_read(text_of(text), "x.conf", &config, NULL, &c->read, &err), err);
    c->language = c->read.list[0];
    assert_ok(image_layers_open(images, image, &layers, &err), err);
    prepared_name(&c->language, &layers, c->name);
    prepared_find(&c->language, &layers, images, &c->read.arena);
    image_layers_close(&layers);
}

/* The same files that were made with another setting have another name. */
static void expect_another_name_with(const char *setting, const char *than, const char *script)
{
    struct case_of c;
    struct layers layers;
    struct error err;

    read_language(&c, "i", "1", script);
    c.language.prepare_env = setting;
    assert_ok(image_layers_open(images, "i", &layers, &err), err);
    prepared_name(&c.language, &layers, c.name);
    image_layers_close(&layers);
    assert_string_not_equal(c.name, than);
    languages_done(&c.read);
}

static void expect_another_name(const char *than, const char *image, const char *env, const char *script)
{
    struct case_of c;

    read_language(&c, image, env, script);
    assert_string_not_equal(c.name, than);
    languages_done(&c.read);
}

static void the_name_says_what_it_was_made_from(void **state)
{
    (void)state;
    struct case_of c;

    read_language(&c, "i", "1", "make");
    assert_int_equal(strlen(c.name), 2 + PREPARED_FINGERPRINT_CHARS);
    assert_memory_equal(c.name, "x-", 2);
    expect_another_name(c.name, "i", "2", "make");
    expect_another_name(c.name, "i", "1", "makes");
    expect_another_name(c.name, "j", "1", "make");
    expect_another_name_with("EVALX_CPP_TEMPLATES=0", c.name, "make");
    compile = "/cc -O3";
    expect_another_name(c.name, "i", "1", "make");
    compile = "/cc";
    write_file("i/cc", "compiler", 1001);
    expect_another_name(c.name, "i", "1", "make");
    write_file("i/cc", "compilers", 1000);
    expect_another_name(c.name, "i", "1", "make");
    write_file("i/none", "", 1000);
    write_file("i/cc", "compiler", 1000);
    expect_another_name(c.name, "i", "1", "make");
    assert_int_equal(unlink(path_of("i/none")), 0);

    struct case_of again;
    read_language(&again, "i", "1", "make");
    assert_string_equal(again.name, c.name);
    languages_done(&again.read);
    languages_done(&c.read);
}

static void it_is_found_by_that_name_alone(void **state)
{
    (void)state;
    struct case_of c;
    char folder[128], expected[128];

    read_language(&c, "i", "1", "make");
    assert_int_equal(c.language.prepared.len, 0);
    languages_done(&c.read);

    (void)snprintf(folder, sizeof folder, ".prepared/i/%s", c.name);
    (void)snprintf(expected, sizeof expected, "/prepared/%s", c.name);
    write_file(folder, "a file, no folder", 1);
    read_language(&c, "i", "1", "make");
    assert_int_equal(c.language.prepared.len, 0);
    languages_done(&c.read);

    assert_int_equal(unlink(path_of(folder)), 0);
    assert_int_equal(mkdir(path_of(folder), 0755), 0);
    read_language(&c, "i", "1", "make");
    assert_string_equal(c.language.prepared.at, expected);
    assert_string_equal(prepared_now(&c.language).at, expected);
    languages_done(&c.read);

    read_language(&c, "i", "1", "make other things");
    assert_int_equal(c.language.prepared.len, 0);
    languages_done(&c.read);
}

/* A package of the host is upgraded while evalx runs. */
static void a_host_that_changes_makes_it_stale_at_once(void **state)
{
    (void)state;
    struct case_of c;
    char folder[128];

    write_file("cc", "compiler", 1000);
    read_language(&c, "host", "1", "make");
    languages_done(&c.read);
    (void)snprintf(folder, sizeof folder, ".prepared/host/%s", c.name);
    assert_int_equal(mkdir(path_of(folder), 0755), 0);
    read_language(&c, "host", "1", "make");
    assert_true(prepared_now(&c.language).len > 0);
    write_file("cc", "compiler", 2000);
    assert_int_equal(prepared_now(&c.language).len, 0);
    write_file("cc", "compiler", 1000);
    assert_true(prepared_now(&c.language).len > 0);
    languages_done(&c.read);
}

static int make_images(void **state)
{
    (void)umask(022);
    if (set_up(state) < 0 || mkdtemp(images) == NULL)
        return -1;
    static const char *const folders[] = { "i", "j", ".prepared", ".prepared/i", ".prepared/host" };
    for (size_t i = 0; i < LEN(folders); i++)
        if (mkdir(path_of(folders[i]), 0755) < 0)
            return -1;
    write_file("i/cc", "compiler", 1000);
    write_file("j/cc", "compiler", 1000);
    return 0;
}

static int remove_images(void **state)
{
    char command[64];

    (void)snprintf(command, sizeof command, "rm -r %s", images);
    return tear_down(state) < 0 ? -1 : system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_says_what_it_was_made_from),
        cmocka_unit_test(it_is_found_by_that_name_alone),
        cmocka_unit_test(a_host_that_changes_makes_it_stale_at_once),
    };
    return cmocka_run_group_tests(tests, make_images, remove_images);
}
