/* crash: what was acknowledged outlives the process that acknowledged it; promises 1 and 3. */
#include "store_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

enum { ROUNDS = 20 };

/* Reports to the parent in one write, which a pipe does not split. */
static void acknowledge(int fd, char what, const char *token)
{
    char line[TOKEN_LEN + 3];
    int len = snprintf(line, sizeof line, "%c%s\n", what, token);
    if (write(fd, line, (size_t)len) != len)
        _exit(3);
}

/* Adds, claims and finishes until it is killed; every third submission is left claimed, every other one waits. */
static _Noreturn void live(int fd)
{
    struct error err;
    struct store *store;
    struct store_worker worker = worker_named("child");
    if (store_open(&store_fixture.config, &store, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        _exit(2);
    }
    for (unsigned i = 0;; i++) {
        struct store_new news[3];
        for (size_t j = 0; j < 3; j++) {
            news[j] = (struct store_new){ .priority = PRIORITY_NORMAL, .queue = "c", .payload = TEXT("work") };
            store_new_token(store, "", news[j].token);
        }
        if (store_add(store, news, 3, &err) < 0)
            _exit(4);
        for (size_t j = 0; j < 3; j++)
            acknowledge(fd, 'A', news[j].token);
        struct store_claim claim;
        size_t len = 0;
        bool kept = false;
        if (store_claim(store, &worker, 1, 0, &claim, &len, &err) < 0 || len != 1)
            _exit(5);
        if (i % 3 != 0) {
            if (store_finish(store, "one", claim.token, claim.attempt, SUBMISSION_COMPLETED, TEXT("[7]"), &kept, &err) <
                    0 ||
                !kept)
                _exit(6);
            acknowledge(fd, 'F', claim.token);
        }
        store_claim_done(&claim);
    }
}

static void check_acknowledged(struct store *store, FILE *lines, size_t *added, size_t *finished)
{
    char line[TOKEN_LEN + 3];
    while (fgets(line, sizeof line, lines) != NULL) {
        assert_int_equal(strlen(line), TOKEN_LEN + 2);
        line[TOKEN_LEN + 1] = '\0';
        struct store_view view = view_of(store, line + 1);
        assert_true(view.found);
        if (line[0] == 'F') {
            assert_int_equal(view.state, SUBMISSION_COMPLETED);
            assert_string_equal(view.result.at, "[7]");
            ++*finished;
        } else {
            assert_int_not_equal(view.state, SUBMISSION_FAILED);
            ++*added;
        }
        store_view_done(&view);
    }
}

static void what_was_acknowledged_survives_kill_9_at_any_instant(void **state)
{
    (void)state;
    size_t added = 0, finished = 0;
    unsigned seed = (unsigned)getpid();
    print_message("  seed %u\n", seed);
    for (int round = 0; round < ROUNDS; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        (void)fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            (void)close(ends[0]);
            live(ends[1]);
        }
        assert_true(child > 0);
        (void)close(ends[1]);
        /* The pipe holds 64 KiB: read while the child lives, then compare the time. */
        FILE *kept = tmpfile();
        assert_non_null(kept);
        char bytes[4096];
        ssize_t len = read(ends[0], bytes, 1); /* it is alive and working */
        assert_int_equal(len, 1);
        (void)fwrite(bytes, 1, 1, kept);
        /* Lives become longer until one finishes something, which a busy machine may not do in 25 ms. */
        nap_ms(1 + (unsigned)rand_r(&seed) % (finished > 0 ? 25 : 25 * (round + 1)));
        assert_int_equal(kill(child, SIGKILL), 0);
        while ((len = read(ends[0], bytes, sizeof bytes)) > 0)
            (void)fwrite(bytes, 1, (size_t)len, kept);
        (void)close(ends[0]);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        rewind(kept);
        struct store *store = fixture_open();
        check_acknowledged(store, kept, &added, &finished);
        store_close(store);
        (void)fclose(kept);
    }
    print_message("  %zu adds and %zu finishes acknowledged in %d lives, all kept\n", added, finished, ROUNDS);
    assert_true(added > ROUNDS && finished > 0);
}

static void what_a_dead_process_held_is_queued_again(void **state)
{
    (void)state;
    store_fixture.config.lease_ms =
        store_fixture.is_redis ? 300 : 3600000; /* SQLite: at once, because no other process can hold it */
    store_fixture.config.attempts_max = 3;
    char token[TOKEN_BYTES], claimed[TOKEN_BYTES];
    struct store *store = fixture_open();
    add_one(store, "c", PRIORITY_NORMAL, token);
    store_close(store);
    for (uint32_t attempt = 1; attempt <= 3; attempt++) {
        (void)fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            struct error err;
            struct store_worker worker = worker_named("child");
            struct store_claim claim;
            size_t len = 0;
            if (store_open(&store_fixture.config, &store, &err) < 0)
                _exit(2);
            for (int i = 0; i < 500 && len == 0; i++)
                if (store_reap_expired(store, &err) < 0 || store_claim(store, &worker, 1, 20, &claim, &len, &err) < 0)
                    _exit(3);
            _exit(len == 1 && claim.attempt == attempt ? 0 : 4); /* without telling the store */
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    store = fixture_open();
    uint64_t until = now_ms() + 10000;
    struct store_view view = view_of(store, token);
    while (view.state != SUBMISSION_FAILED && now_ms() < until) {
        store_view_done(&view);
        must(store_reap_expired(store, &err));
        nap_ms(20);
        view = view_of(store, token);
    }
    assert_int_equal(view.state, SUBMISSION_FAILED);
    store_view_done(&view);
    assert_false(claim_one(store, claimed, NULL));
    store_close(store);
}

const struct CMUnitTest tests_crash[] = {
    A_TEST(what_was_acknowledged_survives_kill_9_at_any_instant),
    A_TEST(what_a_dead_process_held_is_queued_again),
};
const size_t tests_crash_len = sizeof tests_crash / sizeof *tests_crash;
