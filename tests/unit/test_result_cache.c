/* result_cache: which outcomes are kept, that they are returned unchanged, and the limits of memory and time. */
#include "worker/result_cache.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void key_number(unsigned number, char ret_key[HASH_HEX_BYTES])
{
    (void)snprintf(ret_key, HASH_HEX_BYTES, "%06x%058x", number % 7, number); /* few chains, so that each is long */
}

static struct run_outcome outcome_of(const char *output)
{
    struct run_outcome outcome = { .stats = { .wall_us = 1234, .exit_code = 3 }, .archive_fd = -1 };
    struct error err;

    buf_init(&outcome.output, 1 << 20);
    buf_init(&outcome.errors, 1 << 20);
    assert_int_equal(buf_append_text(&outcome.output, text_of(output), &err), 0);
    return outcome;
}

static void put(struct result_cache *cache, unsigned number, const char *output)
{
    char key[HASH_HEX_BYTES];
    struct run_outcome outcome = outcome_of(output);

    key_number(number, key);
    result_cache_put(cache, key, &outcome);
    run_outcome_done(&outcome);
}

static bool has(struct result_cache *cache, unsigned number, const char *output)
{
    char key[HASH_HEX_BYTES];
    struct run_outcome outcome;

    key_number(number, key);
    if (!result_cache_get(cache, key, &outcome))
        return false;
    assert_true(text_equal(buf_text(&outcome.output), text_of(output)));
    assert_int_equal(outcome.errors.len, 0);
    assert_int_equal(outcome.stats.wall_us, 1234);
    assert_int_equal(outcome.stats.exit_code, 3);
    assert_int_equal(outcome.archive_fd, -1);
    run_outcome_done(&outcome);
    return true;
}

static void returns_what_was_put(void **state)
{
    (void)state;
    struct result_cache *cache = result_cache_open(1 << 20, 60);

    for (unsigned i = 0; i < 100; i++) {
        char output[16];
        (void)snprintf(output, sizeof output, "output %u", i);
        assert_false(has(cache, i, output));
        put(cache, i, output);
    }
    for (unsigned i = 0; i < 100; i++) {
        char output[16];
        (void)snprintf(output, sizeof output, "output %u", i);
        assert_true(has(cache, i, output));
        assert_true(has(cache, i, output)); /* the first get returned a copy */
    }
    put(cache, 7, "another time");
    assert_true(has(cache, 7, "another time"));
    result_cache_close(cache);
}

static void the_least_recently_used_leave_first(void **state)
{
    (void)state;
    enum { EACH = 4000, ROOM = 160000 };
    struct result_cache *cache = result_cache_open(ROOM, 60);
    char *output = malloc(EACH + 1);
    unsigned kept = 0;

    memset(output, 'x', EACH);
    output[EACH] = '\0';
    for (unsigned i = 0; i < 100; i++) {
        put(cache, i, output);
        assert_true(has(cache, 0, output)); /* used again and again */
    }
    for (unsigned i = 0; i < 100; i++)
        kept += has(cache, i, output);
    assert_true(kept * EACH <= ROOM && kept > ROOM / EACH * 3 / 4);
    assert_true(has(cache, 99, output));
    assert_false(has(cache, 1, output));
    free(output);

    char *large = malloc(ROOM / 8);
    memset(large, 'x', ROOM / 8 - 1);
    large[ROOM / 8 - 1] = '\0';
    put(cache, 200, large); /* one entry must not push out all others */
    assert_false(has(cache, 200, large));
    free(large);
    result_cache_close(cache);
}

static void entries_expire(void **state)
{
    (void)state;
    struct result_cache *cache = result_cache_open(1 << 20, 1);

    put(cache, 1, "soon gone");
    assert_true(has(cache, 1, "soon gone"));
    (void)usleep(1100000);
    assert_false(has(cache, 1, "soon gone"));
    result_cache_close(cache);
}

/* An outcome is kept only if another run would have the same one. */
static void only_what_ended_by_itself_is_kept(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        struct run_outcome outcome;
        bool kept;
    } rows[] = {
        { "clean exit", { .archive_fd = -1 }, true },
        { "exit code", { .archive_fd = -1, .stats = { .exit_code = 1 } }, true },
        { "crash", { .archive_fd = -1, .stats = { .signal = SIGSEGV } }, true },
        { "killed by somebody", { .archive_fd = -1, .stats = { .signal = SIGKILL } }, false },
        { "cancelled", { .archive_fd = -1, .stats = { .cancelled = true } }, false },
        { "CPU time", { .archive_fd = -1, .stats = { .cpu_exceeded = true } }, false },
        { "wall time", { .archive_fd = -1, .stats = { .wall_exceeded = true } }, false },
        { "memory", { .archive_fd = -1, .stats = { .oom_kills = 1 } }, false },
        { "processes", { .archive_fd = -1, .stats = { .processes_denied = 1, .exit_code = 1 } }, false },
        { "denied syscall", { .archive_fd = -1, .stats = { .denied_syscall = 1 } }, false },
        { "output", { .archive_fd = -1, .stats = { .output_exceeded = true } }, false },
        { "cut output", { .archive_fd = -1, .output_cut = true }, false },
        { "cut errors", { .archive_fd = -1, .errors_cut = true }, false },
        { "kept files", { .archive_fd = 5 }, false },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_message("  %s\n", rows[i].why);
        assert_int_equal(result_cache_may_keep(&rows[i].outcome), rows[i].kept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(returns_what_was_put),
        cmocka_unit_test(the_least_recently_used_leave_first),
        cmocka_unit_test(entries_expire),
        cmocka_unit_test(only_what_ended_by_itself_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
