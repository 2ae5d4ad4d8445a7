/* Defaults, ceilings, timeouts and sizes. */
#include "fixture.h"

static void defaults_are_below_ceilings_whatever_those_are(void **state)
{
    (void)state;
    struct config small = config;
    struct limits limits, ceiling;

    limits_default(&config, &limits);
    assert_int_equal(limits.cpu_us, 5000000);
    assert_int_equal(limits.wall_us, 10000000);
    assert_int_equal(limits.memory_bytes, 256 << 20);
    assert_int_equal(limits.processes, 64);
    assert_int_equal(limits.output_bytes, 1 << 20);
    assert_int_equal(limits.disk_bytes, 256 << 20);

    small.cpu_ms_max = 1000;
    small.wall_ms_max = 1500;
    small.memory_bytes_max = 1 << 20;
    small.processes_max = 1;
    small.output_bytes_max = 0;
    small.disk_bytes = 1 << 20;
    limits_default(&small, &limits);
    limits_ceiling(&small, &ceiling);
    for (size_t i = 0; i < LIMIT_FIELDS_LEN; i++)
        assert_true(limits_get(&limits, i) <= limits_get(&ceiling, i));
    assert_int_equal(limits.cpu_us, 1000000);
}

static void wall_time_follows_a_timeout(void **state)
{
    (void)state;
    static const struct {
        uint64_t timeout_us, wall_us;
    } rows[] = {
        { 1, 1000001 }, { 1000000, 2000000 }, { 2000000, 3000000 }, { 10000000, 15000000 }, { UINT64_MAX, UINT64_MAX }
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct limits limits = { .memory_bytes = 7 };
        limits_set_timeout(&limits, rows[i].timeout_us);
        assert_true(limits.cpu_us == rows[i].timeout_us && limits.wall_us == rows[i].wall_us);
        assert_int_equal(limits.memory_bytes, 7);
    }
}

static void sizes_as_clients_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } right[] = {
        { "128m", 128 << 20 },  { "512M", 512 << 20 }, { "1g", 1 << 30 }, { "64k", 64 << 10 }, { "1048576", 1 << 20 },
        { "256mb", 256 << 20 }, { "1GiB", 1 << 30 },   { "5B", 5 },       { "0", 0 }
    };
    static const char *const wrong[] = { "", "m", "-1m", "1.5g", "1 g", " 1g", "1t", "1mm", "99999999999999g", "1m\n" };

    for (size_t i = 0; i < LEN(right); i++) {
        uint64_t bytes;
        struct error err;
        assert_ok(limits_parse_memory(right[i].text, &bytes, &err), err);
        assert_true(bytes == right[i].bytes);
    }
    for (size_t i = 0; i < LEN(wrong); i++) {
        uint64_t bytes = 9;
        struct error err;
        assert_int_equal(limits_parse_memory(wrong[i], &bytes, &err), -1);
        assert_int_equal(bytes, 9);
        assert_contains(err.text, "expected a size");
    }
}

static void the_table_reaches_every_field(void **state)
{
    (void)state;
    struct limits limits = { 0 };

    for (size_t i = 0; i < LIMIT_FIELDS_LEN; i++)
        limits_set(&limits, i, 100 + i);
    for (size_t i = 0; i < LIMIT_FIELDS_LEN; i++)
        assert_int_equal(limits_get(&limits, i), 100 + i);
    assert_string_equal(limit_fields[0].key, "cpu_time_ms");
    assert_int_equal(limits.cpu_us, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_below_ceilings_whatever_those_are),
        cmocka_unit_test(wall_time_follows_a_timeout),
        cmocka_unit_test(sizes_as_clients_write_them),
        cmocka_unit_test(the_table_reaches_every_field),
    };
    return cmocka_run_group_tests_name("limits", tests, set_up, tear_down);
}
