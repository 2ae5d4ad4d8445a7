/*
 * Races between a program and the root side's work on its box: unpacking before it, packing after it.
 *
 * A box is packed only after all its processes have ended, even if the program exits while others continue to rename,
 * link and replace files.  So no archive may ever contain a byte of the image or of another name, a half-written file,
 * or anything but plain files.  Each test makes EVALX_RACE_LOOPS runs (100000 for the long mode; by default some
 * thousands in all), and each run races many times.  Needs root; skipped (77) otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../shared_host.h"
#include "base/cleanup.h"
#include "sandbox/archive.h"
#include "sandbox/sandbox.h"

#define LOOPS_DEFAULT 700
#define SECRET "CANARY-OF-THE-HOST"

static struct sandbox *sandbox;
static struct sandbox_slot *slot;
static long loops;
static char secret_path[] = "/tmp/evalx-races-XXXXXX";

static const struct limits easy = {
    .cpu_us = 3000000,
    .wall_us = 6000000,
    .memory_bytes = 128 << 20,
    .stack_bytes = 8 << 20,
    .output_bytes = 1 << 16,
    .file_bytes = 8 << 20,
    .disk_bytes = 16 << 20,
    .processes = 32,
    .open_files = 128,
};

static int setup(void **state)
{
    (void)state;
    const struct sandbox_settings settings = { .images_folder = "/nonexistent-images", .uid_base = free_uids() };
    struct error err;
    if (sandbox_start(&settings, &sandbox, &err) < 0 || sandbox_image(sandbox, "host", &err) < 0 ||
        sandbox_slot_open(sandbox, 0, &slot, &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    auto_close int fd = mkstemp(secret_path);
    if (fd < 0 || write(fd, SECRET, sizeof SECRET - 1) < 0 || fchmod(fd, 0644) < 0)
        return -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(secret_path);
    sandbox_slot_close(slot);
    sandbox_stop(sandbox);
    return 0;
}

static int memfd_with(const void *bytes, size_t len)
{
    int fd = memfd_create("archive", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    return fd;
}

/* Runs a shell script and returns an archive of the files it left, or -1. */
static int keep_after(const char *script, int archive)
{
    const char *const argv[] = { "/usr/bin/bash", "-c", script, secret_path, NULL };
    const char *const env[] = { "PATH=/usr/bin:/bin", NULL };
    struct run_request job = { .image = "host",
                               .class = RUN_CLASS_COMPILER,
                               .argv = (char *const *)argv,
                               .env = (char *const *)env,
                               .limits = easy,
                               .archive_fd = archive,
                               .keep_files = true };
    struct run_outcome outcome;
    struct error err;
    if (sandbox_run(slot, &job, &outcome, &err) < 0)
        fail_msg("box_run: %s", err.text);
    if (outcome.stats.exit_code != 0)
        fail_msg("the script ends with %d: %s", outcome.stats.exit_code,
                 outcome.errors.len > 0 ? outcome.errors.at : "");
    int kept = outcome.archive_fd;
    outcome.archive_fd = -1;
    run_outcome_done(&outcome);
    return kept;
}

struct kept_file {
    char name[ARCHIVE_NAME_MAX + 1];
    uint64_t size;
    char content[64]; /* the first bytes */
};

/* Reads the next file of an archive.  False at its end.  A malformed archive fails the test. */
static bool next_file(int archive, off_t *at, struct kept_file *ret)
{
    struct archive_entry entry;
    ssize_t got = pread(archive, &entry, sizeof entry, *at);
    if (got == 0)
        return false;
    assert_int_equal(got, sizeof entry);
    assert_true(entry.name_len > 0 && entry.name_len <= ARCHIVE_NAME_MAX);
    assert_true(entry.mode == 0644 || entry.mode == 0755);
    *at += (off_t)sizeof entry;
    memset(ret, 0, sizeof *ret);
    assert_int_equal(pread(archive, ret->name, entry.name_len, *at), entry.name_len);
    *at += entry.name_len;
    size_t beginning = entry.size < sizeof ret->content - 1 ? (size_t)entry.size : sizeof ret->content - 1;
    assert_int_equal(pread(archive, ret->content, beginning, *at), (ssize_t)beginning);
    *at += (off_t)entry.size;
    ret->size = entry.size;
    struct stat st;
    assert_int_equal(fstat(archive, &st), 0);
    assert_true(*at <= st.st_size);
    return true;
}

static off_t start_of_files(int archive)
{
    char magic[sizeof ARCHIVE_MAGIC - 1];
    assert_int_equal(pread(archive, magic, sizeof magic, 0), sizeof magic);
    assert_memory_equal(magic, ARCHIVE_MAGIC, sizeof magic);
    return (off_t)sizeof magic;
}

/* All files must be of this box: their content begins with "own". */
static void expect_only_own(int archive)
{
    struct kept_file file;
    for (off_t at = start_of_files(archive); next_file(archive, &at, &file);) {
        if (file.size > 0 && strncmp(file.content, "own", 3) != 0)
            fail_msg("%s holds \"%.40s\"", file.name, file.content);
        if (strstr(file.name, "..") != NULL || file.name[0] == '/')
            fail_msg("a name leads out: %s", file.name);
    }
}

/*
 * Each script starts a process that races until it is killed, waits for its start, and exits.  $0 is the path of a file
 * of the host, which must not exist in the box.
 */
static const struct {
    const char *why, *script;
} races[] = {
    { "a file and a link to a file take turns",
      "echo own > f; (while :; do ln -sfn /etc/passwd f; echo own > g; mv -f g f; done) >/dev/null 2>&1 & "
      "sleep 0.01; exit 0" },
    { "a file and a link to the host's secret", "echo own > f; (while :; do ln -sfn \"$0\" f; rm -f f; echo own > f; "
                                                "done) >/dev/null 2>&1 & sleep 0.01; exit 0" },
    { "a folder and a link to a folder of the image",
      "mkdir d; echo own > d/passwd; (while :; do mv d e; ln -s /etc d; rm d; mv e d; done) >/dev/null 2>&1 & "
      "sleep 0.01; exit 0" },
    { "a file and a FIFO",
      "(while :; do rm -f f; mkfifo f; rm -f f; echo own > f; done) >/dev/null 2>&1 & sleep 0.01; exit 0" },
    { "hard links come and go", "echo own > a; (while :; do ln a b; ln b c; rm b c; ln /etc/passwd h; done) >/dev/null "
                                "2>&1 & sleep 0.01; exit 0" },
    { "folders exchange their places, deep",
      "mkdir -p a/b/c x/y/z; echo own > a/b/c/f; echo own > x/y/z/f; "
      "(while :; do mv a/b x/b; mv x/b/c a/c; mv a/c x/b/c; mv x/b a/b; done) >/dev/null 2>&1 & sleep 0.01; exit 0" },
    { "a file grows and shrinks",
      "(while :; do head -c 100000 /dev/zero | tr '\\0' o | sed 's/^/own/' > f; : > f; done) >/dev/null 2>&1 & "
      "sleep 0.01; exit 0" },
    { "rights come and go",
      "mkdir d; echo own > d/f; (while :; do chmod 0 d; chmod 0 d/f; chmod 755 d; chmod 644 d/f; done) "
      ">/dev/null 2>&1 & sleep 0.01; exit 0" },
    { "the box itself is renamed and covered", "echo own > f; (while :; do mv /box /box2; rmdir /box; ln -s /etc /box; "
                                               "mv /box/f /tmp/f; mv /tmp/f /box/f; done) "
                                               ">/dev/null 2>&1 & sleep 0.01; exit 0" },
    { "stopped processes hold files open", "for i in 1 2 3 4; do (exec 9> f$i; echo own >&9; kill -STOP $BASHPID; echo "
                                           "later >&9) & done; sleep 0.02; exit 0" },
};
#define RACES (sizeof races / sizeof *races)

static void packing_sees_one_state_of_the_box(void **state)
{
    (void)state;
    for (long i = 0; i < loops; i++) {
        auto_close int kept = keep_after(races[(size_t)i % RACES].script, -1);
        if (kept < 0) /* the box could not be packed, which is allowed */
            continue;
        if (i < (long)RACES)
            print_message("  %s\n", races[i].why);
        expect_only_own(kept);
    }
}

/* No earlier run can prepare anything for an unpack: each run starts from an empty box. */
static void unpacking_starts_from_an_empty_box(void **state)
{
    (void)state;
    static const char content[] = "own source";
    const struct archive_entry entry = { .name_len = 6, .mode = 0644, .size = sizeof content - 1 };
    char bytes[128];
    size_t len = 0;
    memcpy(bytes, ARCHIVE_MAGIC, sizeof ARCHIVE_MAGIC - 1);
    len += sizeof ARCHIVE_MAGIC - 1;
    memcpy(bytes + len, &entry, sizeof entry);
    len += sizeof entry;
    memcpy(bytes + len, "main.c", 6);
    len += 6;
    memcpy(bytes + len, content, sizeof content - 1);
    len += sizeof content - 1;
    for (long i = 0; i < loops; i++) {
        auto_close int archive = memfd_with(bytes, len);
        /* The program puts a link with the name of the next run's source in every folder it can write to. */
        auto_close int kept =
            keep_after("test \"$(cat main.c)\" = 'own source' || exit 3; test -z \"$(find /tmp "
                       "/dev/shm -mindepth 1)\" || exit 4; rm main.c; ln -s /etc/passwd main.c; ln -s / /tmp/box; "
                       "mkfifo /dev/shm/main.c; exit 0",
                       archive);
        assert_true(kept >= 0);
        struct kept_file file;
        off_t at = start_of_files(kept);
        assert_false(next_file(kept, &at, &file)); /* the link was the only entry */
    }
}

/* The same archive in many runs: a run that writes to its files changes nothing for the next. */
static void an_artifact_is_the_same_for_every_run(void **state)
{
    (void)state;
    auto_close int made = keep_after("echo own artifact > main; chmod 755 main; exit 0", -1);
    assert_true(made >= 0);
    struct stat before, after;
    assert_int_equal(fstat(made, &before), 0);
    for (long i = 0; i < loops; i++) {
        auto_close int kept =
            keep_after("test \"$(cat main)\" = 'own artifact' || exit 3; (while :; do echo own worse > "
                       "main; done) >/dev/null 2>&1 & for f in /proc/self/fd/*; do echo x > $f; done "
                       ">/dev/null 2>&1; exit 0",
                       made);
        assert_true(kept >= 0);
        expect_only_own(kept);
    }
    assert_int_equal(fstat(made, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
}

int main(void)
{
    if (geteuid() != 0) {
        print_message("needs root\n");
        return 77;
    }
    const char *wanted = getenv("EVALX_RACE_LOOPS");
    loops = wanted != NULL ? strtol(wanted, NULL, 10) : LOOPS_DEFAULT;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packing_sees_one_state_of_the_box),
        cmocka_unit_test(unpacking_starts_from_an_empty_box),
        cmocka_unit_test(an_artifact_is_the_same_for_every_run),
    };
    return cmocka_run_group_tests_name("races", tests, setup, teardown);
}
