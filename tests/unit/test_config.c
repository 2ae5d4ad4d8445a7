/* Where each value comes from, and what is refused. */
#include "cases.h"

#include <unistd.h>

#include "config/config.h"
#include "config/fields.h"
#include "config/ini_file.h"

/* Loads a file with this text; its name in errors is shortened to "FILE". */
static int load(const char *text, struct config *config, struct error *err)
{
    char path[] = "/tmp/evalx-config-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int result = config_load(config, path, err);
    unlink(path);
    char *name = result < 0 ? strstr(err->text, path) : NULL;
    if (name != NULL) {
        memcpy(name, "FILE", 4);
        memmove(name + 4, name + strlen(path), strlen(name + strlen(path)) + 1);
    }
    return result;
}

static int clean_environment(void **state)
{
    (void)state;
    return clearenv();
}

static void the_nearer_source_wins(void **state)
{
    (void)state;
    struct config config;
    struct error err;

    assert_ok(load("", &config, &err), err);
    assert_string_equal(config.listen, "127.0.0.1:3000");
    assert_int_equal(config.body_bytes_max, 16 << 20);
    assert_int_equal(config.listen_source, CONFIG_DEFAULT);

    setenv("EVALX_SLOTS", "3", 1);
    setenv("REDIS_HOST", "", 1);
    assert_ok(load("slots = 2\nqueue_max: 2k\nredis_host = file\ninsecure_no_cgroup = yes\n", &config, &err), err);
    assert_int_equal(config.slots, 3);
    assert_int_equal(config.slots_source, CONFIG_ENVIRONMENT);
    assert_int_equal(config.queue_max, 2048);
    assert_int_equal(config.queue_max_source, CONFIG_FILE);
    assert_string_equal(config.redis_host, "file"); /* an empty variable is no variable */
    assert_true(config.insecure_no_cgroup);

    assert_ok(config_set(&config, "slots", "4", CONFIG_FLAG, &err), err);
    assert_int_equal(config.slots, 4);
    assert_int_equal(config.slots_source, CONFIG_FLAG);
    assert_int_equal(config_set(&config, "slots", "x", CONFIG_FLAG, &err), -1);
    assert_int_equal(config.slots, 4);
    assert_contains(err.text, "slots = x");
    assert_int_equal(err.kind, ERROR_USAGE);
}

/* Writes a file named `name` in a new folder and names the folder in the environment, as systemd does. */
static void old_names_of_settings_still_work(void **state)
{
    (void)state;
    struct config config;
    struct error err;

    assert_ok(load("", &config, &err), err);
    assert_true(config.prestart);
    assert_string_equal(config.sandbox_backend, "native");
    assert_string_equal(config.denied_syscalls, "error");
    for (size_t i = 0; i < CONFIG_ALIASES_LEN; i++)
        assert_false(config.alias_given[i]);

    setenv("EVALX_REFUSED_CALLS", "kill", 1);
    assert_ok(load("warm = no\n", &config, &err), err);
    assert_false(config.prestart);
    assert_int_equal(config.prestart_source, CONFIG_FILE);
    assert_string_equal(config.denied_syscalls, "kill");
    assert_int_equal(config.denied_syscalls_source, CONFIG_ENVIRONMENT);
    assert_ok(config_set(&config, "driver", "isolate", CONFIG_FLAG, &err), err);
    assert_string_equal(config.sandbox_backend, "isolate");
    for (size_t i = 0; i < CONFIG_ALIASES_LEN; i++)
        assert_true(config.alias_given[i]);
    assert_int_equal(load("warm = perhaps\n", &config, &err), -1);
    assert_string_equal(err.text, "FILE:1: prestart = perhaps: expected true or false");
}

static void the_new_name_of_a_setting_wins(void **state)
{
    (void)state;
    struct config config;
    struct error err;

    assert_ok(load("prestart = yes\nwarm = no\n", &config, &err), err);
    assert_true(config.prestart);
    assert_ok(load("warm = no\nprestart = yes\n", &config, &err), err);
    assert_true(config.prestart);
    setenv("EVALX_DRIVER", "isolate", 1);
    setenv("EVALX_SANDBOX_BACKEND", "native", 1);
    assert_ok(load("sandbox_backend = isolate\n", &config, &err), err);
    assert_string_equal(config.sandbox_backend, "native");
    /* A nearer source still wins by the old name. */
    unsetenv("EVALX_SANDBOX_BACKEND");
    assert_ok(load("sandbox_backend = native\n", &config, &err), err);
    assert_string_equal(config.sandbox_backend, "isolate");
    assert_ok(config_set(&config, "driver", "native", CONFIG_FLAG, &err), err);
    assert_ok(config_set(&config, "driver", "isolate", CONFIG_FLAG, &err), err); /* the last of the same name */
    assert_string_equal(config.sandbox_backend, "isolate");
}

static void old_names_are_not_listed(void **state)
{
    (void)state;
    struct config config;
    struct error err;
    char *text = NULL;
    size_t len = 0;

    assert_ok(load("warm = no\n", &config, &err), err);
    FILE *out = open_memstream(&text, &len);
    config_print(&config, out);
    (void)fclose(out);
    assert_non_null(strstr(text, "\nprestart                   false                            file\n"));
    assert_null(strstr(text, "\nwarm "));
    assert_null(strstr(text, "\ndriver "));
    assert_null(strstr(text, "\nrefused_calls "));
    free(text);
}

static void give_credential(const char *name, const char *text, size_t len, char ret_path[64])
{
    char folder[] = "/tmp/evalx-secret-XXXXXX";

    assert_non_null(mkdtemp(folder));
    (void)snprintf(ret_path, 64, "%s/%s", folder, name);
    FILE *file = fopen(ret_path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
}

static void take_credential(const char *path)
{
    unlink(path);
    assert_int_equal(rmdir(getenv("CREDENTIALS_DIRECTORY")), 0);
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void a_password_comes_from_its_file(void **state)
{
    (void)state;
    static char too_long[CONFIG_STRING_BYTES];
    static const struct {
        const char *settings, *name, *secret;
        size_t len;
        const char *password, *error;
    } rows[] = {
        { "", "redis-password", "s3cret", 6, "s3cret", NULL },
        { "", "redis-password", "s3cret\n", 7, "s3cret", NULL },
        { "", "redis-password", "two\n\n", 5, NULL, "expected text without control characters" },
        { "", "redis-password", "", 0, "", NULL },
        { "", "redis-password", "\n", 1, "", NULL },
        { "", "redis-password", "a\0b", 3, NULL, "read the Redis password" },
        { "", "redis-password", too_long, sizeof too_long, NULL, "File too large" },
        { "", "another", "s3cret", 6, "", NULL },
        { "redis_password = mine\n", "redis-password", "s3cret", 6, "mine", NULL },
        { "redis_password_file = /nonexistent/file\n", "redis-password", "s3cret", 6, NULL,
          "read the Redis password from /nonexistent/file" },
    };
    struct config config;
    struct error err;
    char path[64];

    memset(too_long, 'x', sizeof too_long);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_message("  row %zu\n", i);
        give_credential(rows[i].name, rows[i].secret, rows[i].len, path);
        assert_ok(load(rows[i].settings, &config, &err), err);
        if (rows[i].error == NULL) {
            assert_ok(config_take_secrets(&config, &err), err);
            assert_string_equal(config.redis_password, rows[i].password);
        } else {
            assert_int_equal(config_take_secrets(&config, &err), -1);
            assert_contains(err.text, rows[i].error);
            assert_null(strstr(err.text, "two"));
        }
        take_credential(path);
    }
}

static void a_named_file_wins_over_the_credential(void **state)
{
    (void)state;
    struct config config;
    struct error err;
    char path[64], named[64];

    give_credential("mine", "named", 5, named);
    assert_ok(load("", &config, &err), err);
    assert_ok(config_set(&config, "redis_password_file", named, CONFIG_FLAG, &err), err);
    take_credential(named);
    assert_int_equal(config_take_secrets(&config, &err), -1); /* it is gone */

    give_credential("mine", "named", 5, named);
    char *folder = strdup(getenv("CREDENTIALS_DIRECTORY"));
    give_credential("redis-password", "credential", 10, path);
    assert_ok(config_set(&config, "redis_password_file", named, CONFIG_FLAG, &err), err);
    assert_ok(config_take_secrets(&config, &err), err);
    assert_string_equal(config.redis_password, "named");
    assert_int_equal(config.redis_password_source, CONFIG_SECRET_FILE);
    take_credential(path);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    take_credential(named);
    free(folder);
}

static void a_mistake_is_named_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        { "slots = 1\nslot = 1\n", "FILE:2: there is no setting \"slot\"" },
        { "\n\nslots = many\n", "FILE:3: slots = many: expected a whole number" },
        { "slots = -1\n", "slots = -1: expected a whole number" },
        { "slots =\n", "expected a whole number" },
        { "slots = 5000\n", "slots = 5000: expected 0 to 4096" },
        { "queue_max = 99999999999g\n", "expected a whole number" },
        { "max_requests = 0\n", "expected 1 to 1000" },
        { "redis_port = 65536\n", "expected 1 to 65535" },
        { "insecure_no_cgroup = maybe\n", "expected true or false" },
        { "log = loud\n", "expected debug, info, warn or error" },
        { "listen = 3000\n", "expected ADDRESS:PORT" },
        { "listen =\n", "expected ADDRESS:PORT" },
        { "data =\n", "data: expected a name" },
        { "store = http://x\n", "store = http://x: expected redis://" },
        { "store = sqlite:\n", "expected redis://" },
        { "[server]\nslots = 1\n", "FILE:2: unexpected section [server]: the settings file has no sections" },
        { "slots = 1\n  2\n", "FILE:2: slots: expected the value on one line" },
        { "slots = 1\ngarbage\nslots = x\n", "FILE:2: expected \"key = value\"" },
        { "slots = x\ngarbage\n", "FILE:1: slots = x" },
        { "= x\n", "FILE:1: expected \"key = value\", got a value without a key" },
        { "user = \xff\n", "FILE:1: the line is not UTF-8 text" },
        { "user = a\x01z\n", "without control characters" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct config config;
        struct error err = { 0 };

        print_message("  %s", rows[i].text);
        assert_int_equal(load(rows[i].text, &config, &err), -1);
        assert_int_equal(err.kind, ERROR_SETUP);
        assert_contains(err.text, rows[i].error);
    }
}

static void a_variable_that_makes_no_sense_is_named(void **state)
{
    (void)state;
    struct config config;
    struct error err;

    setenv("RESULT_TTL_SECONDS", "0", 1);
    assert_int_equal(load("", &config, &err), -1);
    assert_contains(err.text, "environment variable RESULT_TTL_SECONDS: result_ttl_seconds = 0: expected 1 to");
    unsetenv("RESULT_TTL_SECONDS");
}

static void a_file_that_was_asked_for_must_be_there(void **state)
{
    (void)state;
    struct config config;
    struct error err;

    setenv("EVALX_CONFIG", "/nowhere/evalx.conf", 1);
    assert_int_equal(config_load(&config, NULL, &err), -1);
    assert_contains(err.text, "open /nowhere/evalx.conf: No such file");
    assert_int_equal(config_load(&config, "/", &err), -1);
    assert_contains(err.text, "not a regular file");
}

static void a_line_too_long_is_refused_not_split(void **state)
{
    (void)state;
    struct config config;
    struct error err;
    char text[400];

    memset(text, 'a', sizeof text);
    memcpy(text, "user = ", 7);
    text[198] = '\0';
    assert_ok(load(text, &config, &err), err);
    assert_int_equal(strlen(config.user), 191);
    text[198] = 'a';
    text[199] = '\0';
    assert_int_equal(load(text, &config, &err), -1);
    assert_contains(err.text, "FILE:1: the line is longer than 198 bytes");
}

static void passwords_are_never_shown(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "redis://h:1/0", "redis://h:1/0" },
        { "redis://user@h", "redis://user@h" },
        { "redis://user:pw@h", "redis://user:***@h" },
        { "rediss://:p@:w@h,redis://a:b@i/1", "rediss://:***@h,redis://a:***@i/1" },
        { "redis://:pw,x/y@h", "redis://:***@h" },
        { "sqlite:/a@b", "sqlite:/a@b" },
        { "", "" },
    };
    struct config config;
    struct error err;
    char shown[CONFIG_SHOWN_BYTES];

    for (size_t i = 0; i < LEN(rows); i++) {
        config_mask(rows[i][0], shown);
        assert_string_equal(shown, rows[i][1]);
    }
    setenv("REDIS_PASSWORD", "hush-1", 1);
    setenv("EVALX_STORE", "redis://me:hush-2@h", 1);
    assert_ok(load("", &config, &err), err);
    for (int as_json = 0; as_json < 2; as_json++) {
        char *text = NULL;
        size_t len;
        FILE *out = open_memstream(&text, &len);
        if (as_json)
            assert_int_equal(config_print_json(&config, out), 0);
        else
            config_print(&config, out);
        fclose(out);
        assert_null(strstr(text, "hush"));
        assert_contains(text, "(set)");
        assert_contains(text, "redis://me:***@h");
        assert_contains(text, "environment");
        free(text);
    }
    setenv("EVALX_STORE", "http://me:hush@h", 1);
    assert_int_equal(load("", &config, &err), -1);
    assert_null(strstr(err.text, "hush"));
}

static void addresses_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *listen, *host; /* host NULL: refused */
        uint16_t port;
    } rows[] = {
        { "0.0.0.0:3000", "0.0.0.0", 3000 },
        { ":80", "", 80 },
        { "[::1]:0", "::1", 0 },
        { "localhost:65535", "localhost", 65535 },
        { "[::1:3000", NULL, 0 },
        { "::1:3000", NULL, 0 },
        { "a:65536", NULL, 0 },
        { "a:", NULL, 0 },
        { "a", NULL, 0 },
        { "a b:1", NULL, 0 },
        { "[x]:1", NULL, 0 },
        { "a:+1", NULL, 0 },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1", NULL, 0 },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        char host[64];
        uint16_t port;
        struct error err;

        print_message("  %s\n", rows[i].listen);
        int result = config_split_listen(rows[i].listen, host, &port, &err);
        assert_int_equal(result, rows[i].host != NULL ? 0 : -1);
        if (result == 0) {
            assert_string_equal(host, rows[i].host);
            assert_int_equal(port, rows[i].port);
        }
    }
}

static int collect(void *context, const struct ini_entry *entry, struct error *err)
{
    return buf_printf(context, err, "%s/%s=%s%s;", entry->section, entry->key, entry->continues ? "+" : "",
                      entry->value);
}

static void entries_continue_on_indented_lines(void **state)
{
    (void)state;
    auto_buf struct buf out = { .max = 1000 };
    struct error err;

    assert_ok(ini_text_read(TEXT("\xef\xbb\xbf"
                                 "a = 1 ; note\r\n  2\n\n# no\n\t|  3\n[s]\n  b : x=y\n[s]\n  c = 4\n d"),
                            "x", collect, &out, &err),
              err);
    assert_string_equal(out.at, "/a=1;/a=+2;/a=+|  3;s/b=x=y;s/c=4;s/c=+d;");
    assert_int_equal(ini_text_read(TEXT("a = \0"), "x", collect, &out, &err), -1);
    assert_string_equal(err.text, "x:1: the line is not UTF-8 text");
}

int main(void)
{
#define CLEAN(test) cmocka_unit_test_setup(test, clean_environment)
    const struct CMUnitTest tests[] = {
        CLEAN(the_nearer_source_wins),
        CLEAN(old_names_of_settings_still_work),
        CLEAN(the_new_name_of_a_setting_wins),
        CLEAN(old_names_are_not_listed),
        CLEAN(a_mistake_is_named_with_its_place),
        CLEAN(a_variable_that_makes_no_sense_is_named),
        CLEAN(a_file_that_was_asked_for_must_be_there),
        CLEAN(a_line_too_long_is_refused_not_split),
        CLEAN(passwords_are_never_shown),
        CLEAN(a_password_comes_from_its_file),
        CLEAN(a_named_file_wins_over_the_credential),
        CLEAN(addresses_are_split),
        CLEAN(entries_continue_on_indented_lines),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
