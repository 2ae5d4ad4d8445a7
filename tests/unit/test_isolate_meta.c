/* What isolate's meta file says, and what it may not say. */
#include "cases.h"

#include "sandboxd/isolate_meta.h"

static struct isolate_meta parse(const char *text)
{
    struct isolate_meta meta;
    struct error err;
    assert_ok(isolate_meta_parse(text_of(text), &meta, &err), err);
    return meta;
}

static void a_plain_end_has_no_status(void **state)
{
    (void)state;
    struct isolate_meta meta = parse("time:0.007\ntime-wall:12.5\nmax-rss:2924\ncsw-voluntary:12\ncsw-forced:5\n"
                                     "exitcode:0\n");
    assert_int_equal(meta.status, ISOLATE_ENDED);
    assert_true(meta.has_exit_code && !meta.has_signal && !meta.killed && !meta.oom_killed);
    assert_int_equal(meta.exit_code, 0);
    assert_int_equal(meta.cpu_us, 7000);
    assert_int_equal(meta.wall_us, 12500000);
    assert_int_equal(meta.rss_bytes, 2924 * 1024);
    assert_int_equal(meta.group_bytes, 0);
    assert_string_equal(meta.message, "");
}

static void each_status_is_told(void **state)
{
    (void)state;
    struct isolate_meta meta = parse("exitcode:3\nstatus:RE\nmessage:Exited with error status 3\n");
    assert_int_equal(meta.status, ISOLATE_RE);
    assert_int_equal(meta.exit_code, 3);
    assert_string_equal(meta.message, "Exited with error status 3");
    meta = parse("exitsig:11\nstatus:SG\nmessage:Caught fatal signal 11\n");
    assert_int_equal(meta.status, ISOLATE_SG);
    assert_true(meta.has_signal && !meta.has_exit_code);
    assert_int_equal(meta.signal, 11);
    meta = parse("status:TO\nmessage:Time limit exceeded\nkilled:1\ntime:1.1\ntime-wall:1.2\ncg-mem:512\n"
                 "cg-oom-killed:1\n");
    assert_int_equal(meta.status, ISOLATE_TO);
    assert_true(meta.killed && meta.oom_killed);
    assert_int_equal(meta.group_bytes, 512 * 1024);
    meta = parse("status:XX\nmessage:Cannot mount: a:b=c\n");
    assert_int_equal(meta.status, ISOLATE_XX);
    assert_string_equal(meta.message, "Cannot mount: a:b=c");
}

/* isolate writes an error of its own behind what it has already written about the program. */
static void the_last_status_stands(void **state)
{
    (void)state;
    struct isolate_meta meta = parse("status:SG\nmessage:one\nstatus:XX\nmessage:two\n");
    assert_int_equal(meta.status, ISOLATE_XX);
    assert_string_equal(meta.message, "two");
}

static void odd_but_right(void **state)
{
    (void)state;
    assert_int_equal(parse("").status, ISOLATE_ENDED);
    assert_int_equal(parse("new-in-3.0:abc\n:\nexitcode:255\n").exit_code, 255);
    assert_int_equal(parse("time:1\n").cpu_us, 1000000);
    assert_int_equal(parse("time:0.000001\n").cpu_us, 1);
    assert_int_equal(parse("time:-1.-05\n").cpu_us, 0); /* two clocks, rounded: less than nothing is nothing */
    assert_int_equal(parse("time:0.-01\n").cpu_us, 0);
    assert_string_equal(parse("message:\x01\xff\x7f tab\t\n").message, "??? tab?");
    char line[400] = "message:";
    memset(line + 8, 'x', 300);
    line[308] = '\n';
    assert_int_equal(strlen(parse(line).message), sizeof((struct isolate_meta *)NULL)->message - 1);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "exitcode:0", /* cut off */
        "exitcode\n",
        "\n",
        "exitcode:\n",
        "exitcode:256\n",
        "exitcode:-1\n",
        "exitcode: 1\n",
        "exitcode:1 \n",
        "exitcode:1x\n",
        "exitcode:18446744073709551616\n",
        "exitcode:0\nexitcode:0\n",
        "time:\n",
        "time:.5\n",
        "time:1.\n",
        "time:1.0000001\n",
        "time:1e3\n",
        "time:nan\n",
        "time:100000001\n",
        "time:1.5.5\n",
        "time:--1\n",
        "time:1.-5\n",
        "time:0.--5\n",
        "max-rss:9007199254740992\n",
        "killed:2\n",
        "status:\n",
        "status:re\n",
        "status:REX\n",
        "status:OK\n",
    };
    for (size_t i = 0; i < LEN(texts); i++) {
        struct isolate_meta meta = { .exit_code = 77 };
        struct error err = { 0 };
        if (isolate_meta_parse(text_of(texts[i]), &meta, &err) == 0)
            fail_msg("\"%s\" is taken", texts[i]);
        assert_int_equal(err.kind, ERROR_SANDBOX);
        assert_contains(err.text, "meta file");
        assert_int_equal(meta.exit_code, 77); /* written only on success */
    }
}

static void a_file_has_a_bound(void **state)
{
    (void)state;
    static char text[ISOLATE_META_BYTES_MAX + 1];
    struct isolate_meta meta;
    struct error err;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "a:b\n"[i % 4];
    assert_ok(isolate_meta_parse((struct text){ text, ISOLATE_META_BYTES_MAX }, &meta, &err), err);
    assert_int_equal(isolate_meta_parse((struct text){ text, sizeof text }, &meta, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_end_has_no_status),      cmocka_unit_test(each_status_is_told),
        cmocka_unit_test(the_last_status_stands),         cmocka_unit_test(odd_but_right),
        cmocka_unit_test(what_makes_no_sense_is_refused), cmocka_unit_test(a_file_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
