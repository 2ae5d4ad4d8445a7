/* The exec cache (sandboxd/exec_cache.h): used from the third run of an archive on, and never for another program. */
#include "sandbox_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/archive.h"

static void add_file(int fd, const char *name, unsigned mode, const void *content, size_t len)
{
    struct archive_entry entry = { .name_len = (uint32_t)strlen(name), .mode = mode, .size = len };
    assert_int_equal(write(fd, &entry, sizeof entry), sizeof entry);
    assert_int_equal(write(fd, name, strlen(name)), strlen(name));
    assert_int_equal(write(fd, content, len), len);
}

/* exec_cache_program_WORD is in the same folder as this program. */
static void add_program(int fd, const char *name, const char *word)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 64);
    assert_true(len > 0);
    path[len] = '\0';
    (void)snprintf(strrchr(path, '/') + 1, 64, "exec_cache_program_%s", word);
    auto_close int from = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    assert_true(from >= 0 && fstat(from, &st) == 0);
    void *content = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, from, 0);
    assert_ptr_not_equal(content, MAP_FAILED);
    add_file(fd, name, 0755, content, (size_t)st.st_size);
    assert_int_equal(munmap(content, (size_t)st.st_size), 0);
}

/* Makes the archive's last file `more` bytes larger.  Bytes after the end of an executable have no effect. */
static void enlarge_last(int fd, const char *name, size_t more)
{
    struct stat st;
    struct archive_entry entry;
    off_t at = sizeof ARCHIVE_MAGIC - 1;
    char found[ARCHIVE_NAME_MAX + 1] = "";
    assert_int_equal(fstat(fd, &st), 0);
    for (;;) {
        assert_int_equal(pread(fd, &entry, sizeof entry, at), sizeof entry);
        assert_int_equal(pread(fd, found, entry.name_len, at + (off_t)sizeof entry), entry.name_len);
        if (entry.name_len == strlen(name) && memcmp(found, name, entry.name_len) == 0)
            break;
        at += (off_t)(sizeof entry + entry.name_len + entry.size);
    }
    entry.size += more;
    assert_int_equal(pwrite(fd, &entry, sizeof entry, at), sizeof entry);
    assert_int_equal(ftruncate(fd, st.st_size + (off_t)more), 0);
}

/* As after a compile: the source, the program, and optionally beside.txt. */
static int artifact(const char *word, const char *beside)
{
    int fd = memfd_create("artifact", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, ARCHIVE_MAGIC, sizeof ARCHIVE_MAGIC - 1), sizeof ARCHIVE_MAGIC - 1);
    add_file(fd, "main.c", 0644, "int main;\n", 10);
    add_program(fd, "main", word);
    if (beside != NULL)
        add_file(fd, "beside.txt", 0644, beside, strlen(beside));
    return fd;
}

static void expect(int archive, const struct limits *limits, const char *expected)
{
    static const char *const argv[] = { "/box/main", NULL };
    struct run_request job = shell_job(argv);
    job.archive_fd = archive;
    if (limits != NULL)
        job.limits = *limits;
    struct run_outcome outcome = run_job(&job);
    assert_int_equal(outcome.stats.exit_code, 0);
    if (outcome.output.len != strlen(expected) || memcmp(outcome.output.at, expected, strlen(expected)) != 0)
        fail_msg("'%.*s' is not '%s'", (int)outcome.output.len, outcome.output.at, expected);
    run_outcome_done(&outcome);
}

static void the_third_run_finds_its_executable_cached(void **state)
{
    (void)state;
    needs_native("isolate boxes are not made ahead");
    auto_close int one = artifact("one", "beside");
    expect(one, NULL, "one copy beside\n");
    expect(one, NULL, "one copy beside\n");
    for (int i = 0; i < 5; i++)
        expect(one, NULL, "one cached beside\n");
}

static void another_program_never_gets_the_cached_one(void **state)
{
    (void)state;
    needs_native("isolate boxes are not made ahead");
    auto_close int one = artifact("one", NULL), two = artifact("two", NULL);
    auto_close int like_one = artifact("one", "more");
    for (int i = 0; i < 3; i++)
        expect(one, NULL, i < 2 ? "one copy nothing\n" : "one cached nothing\n");
    expect(two, NULL, "two copy nothing\n");
    expect(one, NULL, "one copy nothing\n");
    for (int i = 0; i < 3; i++)
        expect(two, NULL, i < 2 ? "two copy nothing\n" : "two cached nothing\n");
    expect(like_one, NULL, "one copy more\n");
    expect_output("cat /box/* 2>&1; ls -A /box", "cat: '/box/*': No such file or directory\n");
}

static void a_changed_archive_is_another_program(void **state)
{
    (void)state;
    needs_native("isolate boxes are not made ahead");
    auto_close int one = artifact("one", NULL), two = artifact("two", NULL);
    struct stat st;
    for (int i = 0; i < 3; i++)
        expect(one, NULL, i < 2 ? "one copy nothing\n" : "one cached nothing\n");
    assert_int_equal(fstat(two, &st), 0);
    char *content = malloc((size_t)st.st_size);
    assert_non_null(content);
    pause_ms(50); /* file times have the resolution of the clock tick */
    assert_int_equal(pread(two, content, (size_t)st.st_size, 0), st.st_size);
    assert_int_equal(pwrite(one, content, (size_t)st.st_size, 0), st.st_size);
    assert_int_equal(ftruncate(one, st.st_size), 0);
    free(content);
    expect(one, NULL, "two copy nothing\n");
}

static void a_box_with_other_limits_uses_the_cache_too(void **state)
{
    (void)state;
    needs_native("isolate boxes are not made ahead");
    auto_close int one = artifact("one", NULL);
    struct limits roomier = easy;
    roomier.disk_bytes *= 2;
    for (int i = 0; i < 3; i++)
        expect(one, NULL, i < 2 ? "one copy nothing\n" : "one cached nothing\n");
    expect(one, &roomier, "one cached nothing\n");
    expect(one, NULL, "one cached nothing\n");
}

/*
 * Root mounts the cached executable at a name that the archive chooses.  It must be in the box, or nothing is mounted.
 */
static void strange_names_stay_in_the_box(void **state)
{
    (void)state;
    needs_native("isolate boxes are not made ahead");
    static const struct {
        const char *name;
        bool is_valid;
    } rows[] = { { "a b\\c\n", true },   { "...", true },           { "\xff\xfe", true }, { "folder/main", true },
                 { "-rf", true },        { "..", false },           { ".", false },       { "../main", false },
                 { "/tmp/main", false }, { "a/../b", false },       { "a//b", false },    { "main/", false },
                 { "proc", true },       { "\\040(deleted)", true } };
    static const char *const argv[] = { "/bin/bash", "-c",
                                        "shopt -s dotglob; for f in /box/* /box/*/*; do [ -f \"$f\" ] && "
                                        "{ wc -c < \"$f\"; head -c 4 \"$f\"; }; done; ls -A / /tmp /dev/shm",
                                        NULL };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_close int archive = memfd_create("artifact", MFD_CLOEXEC);
        struct run_outcome first = { .archive_fd = -1 };
        struct run_request job = shell_job(argv);
        char content[4096] = "mine";
        assert_int_equal(write(archive, ARCHIVE_MAGIC, sizeof ARCHIVE_MAGIC - 1), sizeof ARCHIVE_MAGIC - 1);
        add_file(archive, rows[i].name, 0755, content, sizeof content);
        enlarge_last(archive, rows[i].name, 400000);
        job.archive_fd = archive;
        for (int run = 0; run < 4; run++) {
            struct run_outcome outcome;
            struct error err;
            int result = sandbox_run(slot, &job, &outcome, &err);
            assert_int_equal(result < 0, !rows[i].is_valid);
            if (result < 0)
                continue;
            assert_non_null(strstr(outcome.output.at, "404096\nmine"));
            if (run == 0) {
                first = outcome;
                continue;
            }
            assert_int_equal(outcome.output.len, first.output.len);
            assert_memory_equal(outcome.output.at, first.output.at, first.output.len);
            run_outcome_done(&outcome);
        }
        if (rows[i].is_valid)
            run_outcome_done(&first);
    }
}

/* The cache has room for two of the largest, because the previous box may still have one mounted. */
static void two_of_the_largest_fit(void **state)
{
    (void)state;
    needs_native("isolate boxes are not made ahead");
    static const char *const words[] = { "one", "two" };
    int archives[2];
    struct limits roomy = easy;
    roomy.disk_bytes = 64 << 20;
    for (int i = 0; i < 2; i++) {
        archives[i] = artifact(words[i], NULL);
        enlarge_last(archives[i], "main", 30 << 20);
    }
    for (int turn = 0; turn < 8; turn++)
        for (int i = 0; i < 3; i++) {
            char expected[32];
            (void)snprintf(expected, sizeof expected, "%s %s nothing\n", words[turn % 2], i < 2 ? "copy" : "cached");
            expect(archives[turn % 2], &roomy, expected);
        }
    for (int i = 0; i < 2; i++)
        (void)close(archives[i]);
}

/* How full each tmpfs is, as seen by a compile after cached runs. */
static struct run_outcome list_tmpfs(void)
{
    static const char *const argv[] = { "/bin/bash", "-c",
                                        "while read -r _ _ _ root place rest; do case $rest in *' - tmpfs '*) "
                                        "echo $root $place $(stat -f -c '%f %d' $place 2>/dev/null) ;; esac; "
                                        "done < /proc/self/mountinfo",
                                        NULL };
    struct run_request job = shell_job(argv);
    job.keep_files = true;
    struct run_outcome outcome = run_job(&job);
    assert_int_equal(outcome.stats.exit_code, 0);
    return outcome;
}

static void other_runs_cannot_observe_the_cache(void **state)
{
    (void)state;
    needs_native("isolate boxes are not made ahead");
    auto_close int one = artifact("one", NULL);
    expect_output("echo before", "before\n");
    struct run_outcome before = list_tmpfs();
    for (int i = 0; i < 3; i++)
        expect(one, NULL, i < 2 ? "one copy nothing\n" : "one cached nothing\n");
    struct run_outcome after = list_tmpfs();
    if (before.output.len != after.output.len || memcmp(before.output.at, after.output.at, after.output.len) != 0)
        fail_msg("before:\n%.*safter:\n%.*s", (int)before.output.len, before.output.at, (int)after.output.len,
                 after.output.at);
    run_outcome_done(&before);
    run_outcome_done(&after);
}

static void a_truncated_archive_breaks_only_its_run(void **state)
{
    (void)state;
    needs_native("isolate boxes are not made ahead");
    static const char *const argv[] = { "/box/main", NULL };
    auto_close int one = artifact("one", NULL);
    struct stat st;
    struct error err;
    struct run_request job = shell_job(argv);
    assert_int_equal(fstat(one, &st), 0);
    assert_int_equal(ftruncate(one, st.st_size - 1000), 0);
    job.archive_fd = one;
    for (int i = 0; i < 4; i++) {
        struct run_outcome outcome;
        assert_true(sandbox_run(slot, &job, &outcome, &err) < 0);
    }
    expect_output("echo goes on", "goes on\n");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_third_run_finds_its_executable_cached),
        cmocka_unit_test(another_program_never_gets_the_cached_one),
        cmocka_unit_test(a_changed_archive_is_another_program),
        cmocka_unit_test(a_box_with_other_limits_uses_the_cache_too),
        cmocka_unit_test(strange_names_stay_in_the_box),
        cmocka_unit_test(two_of_the_largest_fit),
        cmocka_unit_test(other_runs_cannot_observe_the_cache),
        cmocka_unit_test(a_truncated_archive_breaks_only_its_run),
    };
    return sandbox_fixture_main(argc, argv, tests);
}
