/* layers: what an image may be made of, and every way in which a file that names its layers is refused. */
#include "cases.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/image_layers.h"

static char images[] = "/tmp/evalx-layers-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", images, name);
    return path;
}

static void make_folder(const char *name)
{
    assert_int_equal(mkdir(path_of(name), 0755), 0);
}

static void write_file(const char *name, const char *text)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, 0644), 0);
    (void)close(fd);
}

static int set_up(void **state)
{
    (void)state;
    (void)umask(022);
    assert_non_null(mkdtemp(images));
    make_folder(".layers");
    make_folder(".layers/base");
    make_folder(".layers/base/usr");
    make_folder(".layers/top");
    make_folder(".layers/top/usr");
    make_folder("plain");
    write_file(".layers/base/usr/low", "low");
    write_file(".layers/top/usr/high", "high");
    write_file(".layers/file", "no folder");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[64];

    (void)snprintf(command, sizeof command, "rm -r %s", images);
    return system(command);
}

static void the_top_layer_is_the_last_line(void **state)
{
    (void)state;
    struct layers layers;
    struct error err = { 0 };

    write_file("two.layers", "base\ntop\n");
    if (image_layers_open(images, "two", &layers, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(layers.len, 2);
    assert_int_equal(faccessat(layers.fds[0], "usr/high", F_OK, 0), 0);
    assert_int_equal(faccessat(layers.fds[1], "usr/low", F_OK, 0), 0);
    assert_true(image_layers_have(&layers, "/usr/high") && image_layers_have(&layers, "/usr/low"));
    assert_false(image_layers_have(&layers, "/usr/none"));
    image_layers_close(&layers);

    /* A link of a layer means the image's root; on the host it would lead to a file that is there. */
    assert_int_equal(symlink("/etc/passwd", path_of(".layers/base/usr/link")), 0);
    assert_int_equal(image_layers_open(images, "two", &layers, &err), 0);
    assert_false(image_layers_have(&layers, "/usr/link"));
    image_layers_close(&layers);
}

static void a_folder_and_the_host_are_one_layer(void **state)
{
    (void)state;
    struct layers layers;
    struct error err = { 0 };

    assert_int_equal(image_layers_open(images, "plain", &layers, &err), 0);
    assert_int_equal(layers.len, 1);
    image_layers_close(&layers);
    assert_int_equal(image_layers_open("/nonexistent", "host", &layers, &err), 0);
    assert_true(image_layers_have(&layers, "/bin/sh"));
    image_layers_close(&layers);
}

static void expect_refused(const char *image, const char *why)
{
    struct layers layers;
    struct error err = { 0 };

    if (image_layers_open(images, image, &layers, &err) == 0)
        fail_msg("%s was not refused (%s)", image, why);
    if (strstr(err.text, why) == NULL)
        fail_msg("%s: expected \"%s\", got \"%s\"", image, why, err.text);
    assert_int_equal(err.kind, ERROR_SETUP);
}

static void what_leads_elsewhere_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "", "it names no layer" },
        { "none\n", "open layer none" },
        { "../plain\n", "is not a valid layer name" },
        { "..\n", "is not a valid layer name" },
        { "/usr\n", "is not a valid layer name" },
        { "base/usr\n", "is not a valid layer name" },
        { "base\n\ntop\n", "is not a valid layer name" },
        { "base top\n", "is not a valid layer name" },
        { "base\r\n", "is not a valid layer name" },
        { "file\n", "open layer file" },
        { "link\n", "open layer link" },
        { "base\nbase\nbase\nbase\nbase\nbase\nbase\nbase\nbase\n", "more than 8 layers" },
    };

    assert_int_equal(symlink("/usr", path_of(".layers/link")), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file("bad.layers", cases[i].text);
        expect_refused("bad", cases[i].why);
    }
    static char long_text[4096];
    memset(long_text, '\n', sizeof long_text - 1);
    write_file("bad.layers", long_text);
    expect_refused("bad", "File too large");

    assert_int_equal(symlink("two.layers", path_of("linked.layers")), 0);
    expect_refused("linked", "open linked.layers");
    assert_int_equal(symlink("/usr", path_of("usr")), 0);
    expect_refused("usr", "open image usr");
    make_folder("folder.layers");
    expect_refused("folder", "is not a regular file");
    assert_int_equal(mkfifo(path_of("fifo.layers"), 0644), 0); /* must not wait for a writer */
    expect_refused("fifo", "is not a regular file");
    expect_refused("nothing", "open nothing.layers");
}

static void what_others_can_write_is_refused(void **state)
{
    (void)state;
    write_file("mine.layers", "base\n");
    assert_int_equal(chmod(path_of("mine.layers"), 0664), 0);
    expect_refused("mine", "writable by nobody else");
    assert_int_equal(chmod(path_of("mine.layers"), 0644), 0);
    assert_int_equal(chmod(path_of(".layers/base"), 0757), 0);
    expect_refused("mine", "layer base must belong to root");
    assert_int_equal(chmod(path_of(".layers/base"), 0755), 0);
    assert_int_equal(chmod(path_of(".layers"), 0777), 0);
    expect_refused("mine", "folder .layers must belong to root");
    assert_int_equal(chmod(path_of(".layers"), 0755), 0);
    if (geteuid() != 0)
        return;
    assert_int_equal(chown(path_of("mine.layers"), 1000, 0), 0);
    expect_refused("mine", "file mine.layers must belong to root");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_top_layer_is_the_last_line),
        cmocka_unit_test(a_folder_and_the_host_are_one_layer),
        cmocka_unit_test(what_leads_elsewhere_is_refused),
        cmocka_unit_test(what_others_can_write_is_refused),
    };
    return cmocka_run_group_tests_name("layers", tests, set_up, tear_down);
}
