/*
 * An image made of layers: files of the upper layer hide those of the lower, folders are merged, nothing is writable,
 * and nothing of the host is visible.  The layers contain a shell of this host and the libraries it is linked with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../shared_host.h"
#include "sandbox/sandbox.h"

static char images[] = "/tmp/evalx-images-XXXXXX";
static struct sandbox *sandbox;
static struct sandbox_slot *slot;

static const char make[] =
    "set -e; umask 022; cd %s; mkdir -p .layers/low/usr/share .layers/low/etc .layers/high/usr/share .layers/high/opt\n"
    "for f in /usr/bin/bash /usr/bin/cat /usr/bin/ls; do\n"
    "    cp --parents $f .layers/low\n"
    "    for l in $(ldd $f | grep -o '/[^ ]*'); do\n"
    "        r=$(realpath $l); mkdir -p .layers/low/usr/all; cp -L $l .layers/low/usr/all\n"
    "        case $l in */ld-linux*|*/ld.so*) mkdir -p .layers/low$(dirname $l); cp -L $l .layers/low$l;; esac\n"
    "    done\n"
    "done\n"
    "echo low >.layers/low/usr/share/both; echo low >.layers/low/usr/share/low; echo low >.layers/low/etc/name\n"
    "echo high >.layers/high/usr/share/both; echo high >.layers/high/usr/share/high; echo high >.layers/high/opt/x\n"
    "ln -s usr .layers/low/turned; mkdir .layers/high/turned; echo high >.layers/high/turned/y\n"
    "mkdir -p .prepared/two/c-1; echo made >.prepared/two/c-1/file\n"
    "mkdir .prepared/open; chmod 777 .prepared/open; mkdir .prepared/real; ln -s real .prepared/linked\n"
    "for i in open linked; do cp -r .layers/low $i; done\n"
    "mkdir .layers/low/prepared; echo own >.layers/low/prepared/file\n"
    "printf 'low\\nhigh\\n' >two.layers; printf 'low\\n' >one.layers\n";

static void expect_in(const char *image, const char *script, const char *expected)
{
    struct error err;
    struct run_outcome o;
    const char *const argv[] = { "/usr/bin/bash", "-c", script, NULL };
    static const char *const env[] = { "PATH=/usr/bin", "LD_LIBRARY_PATH=/usr/all", NULL };
    const struct run_request job = {
        .image = image,
        .class = RUN_CLASS_NATIVE,
        .argv = (char *const *)argv,
        .env = (char *const *)env,
        .archive_fd = -1,
        .limits = { .cpu_us = 5000000,
                    .wall_us = 10000000,
                    .memory_bytes = 64 << 20,
                    .stack_bytes = 8 << 20,
                    .output_bytes = 1 << 20,
                    .file_bytes = 1 << 20,
                    .disk_bytes = 1 << 20,
                    .processes = 16,
                    .open_files = 64 },
    };

    if (sandbox_run(slot, &job, &o, &err) < 0)
        fail_msg("box_run: %s", err.text);
    if (o.errors.len > 0)
        print_message("  stderr: %s", o.errors.at);
    assert_string_equal(o.output.at != NULL ? o.output.at : "", expected);
    run_outcome_done(&o);
}

static void layers_are_stacked(void **state)
{
    (void)state;
    expect_in("two", "cat /usr/share/both /usr/share/low /usr/share/high /opt/x /etc/name",
              "high\nlow\nhigh\nhigh\nlow\n");
    expect_in("two", "ls /usr/share", "both\nhigh\nlow\n");
    expect_in("two", "ls /turned", "y\n"); /* a folder in the upper layer, a link in the lower: the folder wins */
    expect_in("one", "ls /usr/share /turned/share; cat /usr/share/both",
              "/turned/share:\nboth\nlow\n\n/usr/share:\nboth\nlow\nlow\n");
}

static void nothing_of_a_layer_can_be_changed(void **state)
{
    (void)state;
    expect_in("two",
              "for f in /usr/share/both /usr/share/low /usr/share/new /opt/x /opt/new /etc/name /new; do "
              "{ echo x >$f; } 2>/dev/null && echo wrote $f; done; echo tried",
              "tried\n");
    expect_in("two", "ls /home /root /var /srv 2>/dev/null; [ -e /.layers ] || echo none", "none\n");
}

static void prepared_files_are_visible_and_read_only(void **state)
{
    (void)state;
    expect_in("two", "ls /prepared; cat /prepared/c-1/file",
              "c-1\nmade\n"); /* not the folder of that name in the image */
    expect_in(
        "two",
        "for f in /prepared/x /prepared/c-1/file /prepared/c-1/x; do { echo x >$f; } 2>/dev/null && echo wrote $f; "
        "done; echo tried",
        "tried\n");
    expect_in("one", "[ -e /prepared ] || echo none", "none\n");
}

/* A prepared folder that others than root can change or redirect is not shown to any program. */
static void a_prepared_folder_that_others_can_write_is_refused(void **state)
{
    (void)state;
    struct error err = { 0 };

    assert_int_equal(sandbox_image(sandbox, "open", &err), -1);
    assert_non_null(strstr(err.text, "must belong to root"));
    assert_int_equal(sandbox_image(sandbox, "linked", &err), -1);
    assert_non_null(strstr(err.text, ".prepared/linked"));
}

static int start(void **state)
{
    (void)state;
    struct error err = { 0 };
    struct sandbox_settings settings = { .images_folder = images, .uid_base = free_uids() };
    char command[2048];

    if (mkdtemp(images) == NULL || snprintf(command, sizeof command, make, images) < 0 || system(command) != 0)
        return -1;
    if (sandbox_start(&settings, &sandbox, &err) < 0 || sandbox_image(sandbox, "two", &err) < 0 ||
        sandbox_image(sandbox, "one", &err) < 0 || sandbox_slot_open(sandbox, 0, &slot, &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    char command[64];

    sandbox_slot_close(slot);
    sandbox_stop(sandbox);
    (void)snprintf(command, sizeof command, "rm -r %s", images);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_are_stacked),
        cmocka_unit_test(nothing_of_a_layer_can_be_changed),
        cmocka_unit_test(prepared_files_are_visible_and_read_only),
        cmocka_unit_test(a_prepared_folder_that_others_can_write_is_refused),
    };

    if (geteuid() != 0) {
        print_message("skipped: the sandbox needs root\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, start, stop);
}
