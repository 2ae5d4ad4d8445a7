/* artifact_cache: what it returns, what it keeps on the disk, and how it handles a full disk and damaged files. */
#include "worker/artifact_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "worker/artifact_memory.h"

struct fixture {
    char folder[64];
    struct artifact_cache *cache;
};

static void key_number(unsigned number, char ret_key[ARTIFACT_KEY_BYTES])
{
    (void)snprintf(ret_key, ARTIFACT_KEY_BYTES, "%02x%062x", number % 256, number);
}

static struct artifact_cache *open_cache(const struct fixture *fixture, uint64_t bytes_max)
{
    struct artifact_cache *cache = NULL;
    struct error err = { 0 };

    if (artifact_cache_open(fixture->folder, bytes_max, NULL, &cache, &err) < 0)
        fail_msg("open: %s", err.text);
    return cache;
}

static int set_up(void **state)
{
    static struct fixture fixture;

    (void)snprintf(fixture.folder, sizeof fixture.folder, "test-artifacts-XXXXXX");
    if (mkdtemp(fixture.folder) == NULL)
        return -1;
    fixture.cache = open_cache(&fixture, 1u << 20);
    *state = &fixture;
    return 0;
}

static void remove_folder(const char *folder)
{
    DIR *groups = opendir(folder);

    for (const struct dirent *group; groups != NULL && (group = readdir(groups)) != NULL;) {
        if (group->d_name[0] == '.')
            continue;
        int fd = openat(dirfd(groups), group->d_name, O_RDONLY | O_DIRECTORY);
        DIR *files = fdopendir(fd);
        for (const struct dirent *file; files != NULL && (file = readdir(files)) != NULL;)
            (void)unlinkat(dirfd(files), file->d_name, 0);
        (void)closedir(files);
        (void)unlinkat(dirfd(groups), group->d_name, AT_REMOVEDIR);
    }
    (void)closedir(groups);
    (void)rmdir(folder);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    artifact_cache_close(fixture->cache);
    remove_folder(fixture->folder);
    return 0;
}

static int archive_with(const void *bytes, size_t len)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    return fd;
}

/* Puts an artifact that was missing, as a compile step does. */
static void make(struct artifact_cache *cache, const char *key, const void *bytes, size_t len, const char *output)
{
    struct artifact artifact;
    auto_close int fd = archive_with(bytes, len);

    assert_false(artifact_cache_get(cache, key, &artifact));
    artifact_cache_put(cache, key, fd, text_of(output), false);
}

static void assert_has(struct artifact_cache *cache, const char *key, const void *bytes, size_t len, const char *output)
{
    struct artifact artifact;
    struct stat status;
    char *got = malloc(len);

    assert_true(artifact_cache_get(cache, key, &artifact));
    assert_int_equal(fstat(artifact.archive_fd, &status), 0);
    assert_int_equal(status.st_size, (off_t)len);
    assert_int_equal(pread(artifact.archive_fd, got, len, 0), (ssize_t)len);
    assert_memory_equal(got, bytes, len);
    assert_true(text_equal(buf_text(&artifact.output), text_of(output)));
    artifact_done(&artifact);
    free(got);
}

static void assert_lacks(struct artifact_cache *cache, const char *key)
{
    struct artifact artifact;

    assert_false(artifact_cache_get(cache, key, &artifact));
}

/* Closing writes everything that is queued, so the next get reads the disk. */
static void reopen(struct fixture *fixture, uint64_t bytes_max)
{
    artifact_cache_close(fixture->cache);
    fixture->cache = open_cache(fixture, bytes_max);
}

static void returns_what_was_put(void **state)
{
    struct fixture *fixture = *state;
    char key[ARTIFACT_KEY_BYTES], other[ARTIFACT_KEY_BYTES];

    key_number(1, key);
    key_number(2, other);
    make(fixture->cache, key, "archive\0bytes", 13, "a warning");
    assert_has(fixture->cache, key, "archive\0bytes", 13, "a warning"); /* from memory or disk */
    assert_lacks(fixture->cache, other);
    reopen(fixture, 1u << 20);
    assert_has(fixture->cache, key, "archive\0bytes", 13, "a warning"); /* from the disk */
    assert_has(fixture->cache, key, "archive\0bytes", 13, "a warning");
}

static void keeps_large_archives_whole(void **state)
{
    struct fixture *fixture = *state;
    size_t len = (5u << 20) + 7; /* too large to be hashed */
    char *bytes = malloc(len);
    char key[ARTIFACT_KEY_BYTES];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 31 + i / 4096);
    key_number(3, key);
    reopen(fixture, 64u << 20);
    make(fixture->cache, key, bytes, len, "");
    reopen(fixture, 64u << 20);
    assert_has(fixture->cache, key, bytes, len, "");
    free(bytes);
}

/* No holder can change an artifact, because other runs start from it. */
static void artifacts_are_sealed(void **state)
{
    struct fixture *fixture = *state;
    struct artifact artifact;
    char key[ARTIFACT_KEY_BYTES];

    key_number(4, key);
    make(fixture->cache, key, "archive", 7, "");
    reopen(fixture, 1u << 20);
    assert_true(artifact_cache_get(fixture->cache, key, &artifact));
    assert_int_equal(write(artifact.archive_fd, "x", 1), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(artifact.archive_fd, 0), -1);
    artifact_done(&artifact);
}

static void path_of(const struct fixture *fixture, const char *key, char ret_path[160])
{
    (void)snprintf(ret_path, 160, "%s/%.2s/%s", fixture->folder, key, key + 2);
}

/* A file that is cut off or changed is removed, never returned. */
static void damaged_files_are_removed(void **state)
{
    struct fixture *fixture = *state;
    char key[ARTIFACT_KEY_BYTES], path[160];
    struct stat status;

    for (unsigned damage = 0; damage < 6; damage++) {
        key_number(100 + damage, key);
        path_of(fixture, key, path);
        make(fixture->cache, key, "archive of some length", 22, "warning");
        reopen(fixture, 1u << 20);
        auto_close int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &status), 0);
        switch (damage) {
        case 0:
            assert_int_equal(ftruncate(fd, 0), 0);
            break;
        case 1:
            assert_int_equal(ftruncate(fd, 20), 0);
            break;
        case 2:
            assert_int_equal(ftruncate(fd, status.st_size - 1), 0);
            break;
        case 3:
            assert_int_equal(ftruncate(fd, status.st_size + 1), 0);
            break;
        case 4:
            assert_int_equal(pwrite(fd, "X", 1, status.st_size - 3), 1);
            break; /* one byte of the archive */
        default:
            assert_int_equal(pwrite(fd, "X", 1, 0), 1);
            break; /* the magic */
        }
        assert_lacks(fixture->cache, key);
        assert_int_equal(access(path, F_OK), -1);
        make(fixture->cache, key, "made anew", 9, "");
        reopen(fixture, 1u << 20);
        assert_has(fixture->cache, key, "made anew", 9, "");
    }
}

static uint64_t bytes_on_disk(const struct fixture *fixture)
{
    uint64_t bytes = 0;
    DIR *groups = opendir(fixture->folder);

    for (const struct dirent *group; (group = readdir(groups)) != NULL;) {
        if (group->d_name[0] == '.')
            continue;
        DIR *files = fdopendir(openat(dirfd(groups), group->d_name, O_RDONLY | O_DIRECTORY));
        struct stat status;
        for (const struct dirent *file; (file = readdir(files)) != NULL;)
            if (file->d_name[0] != '.' && fstatat(dirfd(files), file->d_name, &status, 0) == 0)
                bytes += (uint64_t)status.st_blocks * 512;
        (void)closedir(files);
    }
    (void)closedir(groups);
    return bytes;
}

/* Sets the time of the file's last use, in seconds since 1970. */
static void set_used(const struct fixture *fixture, const char *key, time_t when)
{
    char path[160];
    struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };

    path_of(fixture, key, path);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void least_recently_used_leave_first(void **state)
{
    struct fixture *fixture = *state;
    char *bytes = calloc(1, 60000), key[ARTIFACT_KEY_BYTES];
    const uint64_t bytes_max = 640u << 10; /* ten files of 64 KiB, a little less */

    reopen(fixture, bytes_max);
    for (unsigned i = 0; i < 10; i++) {
        key_number(i, key);
        make(fixture->cache, key, bytes, 60000, "");
    }
    reopen(fixture, bytes_max);
    for (unsigned i = 0; i < 10; i++) {
        key_number(i, key);
        set_used(fixture, key, 1000000 + (time_t)i);
    }
    key_number(0, key);
    assert_has(fixture->cache, key, bytes, 60000, ""); /* the oldest has just been used */
    for (unsigned i = 10; i < 12; i++) {
        key_number(i, key);
        make(fixture->cache, key, bytes, 60000, "");
    }
    reopen(fixture, bytes_max);
    assert_true(bytes_on_disk(fixture) <= bytes_max);
    key_number(0, key);
    assert_has(fixture->cache, key, bytes, 60000, "");
    key_number(11, key);
    assert_has(fixture->cache, key, bytes, 60000, "");
    key_number(1, key);
    assert_lacks(fixture->cache, key);
    free(bytes);
}

/* If the maximum is smaller than the folder, it is evicted at the start. */
static void a_smaller_maximum_evicts_at_the_start(void **state)
{
    struct fixture *fixture = *state;
    char *bytes = calloc(1, 60000), key[ARTIFACT_KEY_BYTES];

    for (unsigned i = 0; i < 10; i++) {
        key_number(i, key);
        make(fixture->cache, key, bytes, 60000, "");
    }
    reopen(fixture, 200u << 10);
    reopen(fixture, 200u << 10); /* closing waits for the thread that evicts */
    assert_true(bytes_on_disk(fixture) > 0);
    assert_true(bytes_on_disk(fixture) <= 200u << 10);
    free(bytes);
}

/* A frequent program costs no disk access: even its file may be missing.  Others push it out of the memory. */
static void the_most_recently_used_are_in_memory(void **state)
{
    struct fixture *fixture = *state;
    char key[ARTIFACT_KEY_BYTES], path[160];

    for (unsigned number = 700; number < 700 + ARTIFACT_MEMORY_LEN + 1; number++) {
        key_number(number, key);
        make(fixture->cache, key, &number, sizeof number, "warning");
        if (number % 32 == 0)
            reopen(fixture, 1u << 20); /* not more than may be queued */
    }
    unsigned first = 700, second = 701;
    reopen(fixture, 1u << 20);
    for (unsigned number = 700; number < 702; number++) { /* now from the disk */
        key_number(number, key);
        assert_has(fixture->cache, key, &number, sizeof number, "warning");
        path_of(fixture, key, path);
        assert_int_equal(unlink(path), 0);
    }
    for (unsigned number = 702; number < 700 + ARTIFACT_MEMORY_LEN; number++) {
        key_number(number, key);
        assert_has(fixture->cache, key, &number, sizeof number, "warning");
    }
    key_number(second, key);
    assert_has(fixture->cache, key, &second, sizeof second, "warning");
    unsigned last = 700 + ARTIFACT_MEMORY_LEN;
    key_number(last, key);
    assert_has(fixture->cache, key, &last, sizeof last, "warning"); /* one more than the memory keeps */
    key_number(second, key);
    assert_has(fixture->cache, key, &second, sizeof second, "warning");
    key_number(first, key);
    assert_lacks(fixture->cache, key);
}

static void the_memory_is_bounded(void **state)
{
    (void)state;
    static struct artifact_memory memory;
    char key[ARTIFACT_KEY_BYTES];
    char *bytes = calloc(1, 300);
    bool touch;
    auto_close int fd = archive_with(bytes, 300), large = archive_with(bytes, 300);

    artifact_memory_init(&memory, 1000);
    for (unsigned number = 0; number < 10; number++) {
        key_number(number, key);
        artifact_memory_keep(&memory, key, fd, TEXT("ten bytes."), false, 1000 + number);
        artifact_memory_keep(&memory, key, fd, TEXT("ten bytes."), false, 1000 + number); /* replaces the first */
        assert_true(memory.bytes <= 1000);
    }
    assert_int_equal(memory.bytes, 930);
    key_number(6, key);
    assert_null(artifact_memory_find(&memory, key, 2000, &touch));
    key_number(7, key);
    assert_non_null(artifact_memory_find(&memory, key, 2000, &touch));
    assert_false(touch);
    assert_non_null(artifact_memory_find(&memory, key, 2000 + ARTIFACT_MEMORY_TOUCH_US, &touch));
    assert_true(touch);
    assert_non_null(artifact_memory_find(&memory, key, 2001 + ARTIFACT_MEMORY_TOUCH_US, &touch));
    assert_false(touch);
    assert_int_equal(ftruncate(large, 1001), 0);
    key_number(20, key);
    artifact_memory_keep(&memory, key, large, TEXT(""), false, 3000);
    assert_null(artifact_memory_find(&memory, key, 3000, &touch));
    artifact_memory_done(&memory);
    assert_int_equal(memory.bytes, 0);
    free(bytes);
}

/* RLIMIT_FSIZE stands in for a full disk: writes fail in the same place.  SIGXFSZ is ignored, as in evalx itself. */
static void a_full_disk_only_stops_the_caching(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit before, tight = { .rlim_cur = 1024, .rlim_max = RLIM_INFINITY };
    char *bytes = calloc(1, 60000), key[ARTIFACT_KEY_BYTES];
    auto_close int fd = archive_with(bytes, 60000);
    struct artifact artifact;

    key_number(600, key);
    struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
    assert_int_equal(sigaction(SIGXFSZ, &ignore, &old), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_false(artifact_cache_get(fixture->cache, key, &artifact));
    artifact_cache_put(fixture->cache, key, fd, TEXT(""), false);
    artifact_cache_close(fixture->cache);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(sigaction(SIGXFSZ, &old, NULL), 0);

    assert_int_equal(bytes_on_disk(fixture), 0); /* nothing half-written is left */
    fixture->cache = open_cache(fixture, 1u << 20);
    make(fixture->cache, key, bytes, 60000, ""); /* and writing works again */
    reopen(fixture, 1u << 20);
    assert_has(fixture->cache, key, bytes, 60000, "");
    free(bytes);
}

/* Users who can write to the folder decide what submissions run. */
static void refuses_a_folder_open_to_others(void **state)
{
    struct fixture *fixture = *state;
    struct artifact_cache *cache = NULL;
    struct error err = { 0 };

    artifact_cache_close(fixture->cache);
    fixture->cache = NULL;
    assert_int_equal(chmod(fixture->folder, 0755), 0);
    assert_int_equal(artifact_cache_open(fixture->folder, 1u << 20, NULL, &cache, &err), -1);
    assert_int_equal(err.kind, ERROR_SETUP);
    assert_non_null(strstr(err.text, "0700"));
    assert_int_equal(artifact_cache_open("no/such/folder", 1u << 20, NULL, &cache, &err), -1);
    assert_int_equal(err.os, ENOENT);
}

/* The temporary file of a writer that died is removed once it is old.  One of a live process is not. */
static void old_temporary_files_are_removed(void **state)
{
    struct fixture *fixture = *state;
    char group[100], old[160], fresh[160];
    struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

    (void)snprintf(group, sizeof group, "%s/ab", fixture->folder);
    (void)snprintf(old, sizeof old, "%s/" ARTIFACT_TEMPORARY "1-1", group);
    (void)snprintf(fresh, sizeof fresh, "%s/" ARTIFACT_TEMPORARY "2-2", group);
    assert_int_equal(mkdir(group, 0700), 0);
    (void)close(open(old, O_WRONLY | O_CREAT, 0600));
    (void)close(open(fresh, O_WRONLY | O_CREAT, 0600));
    assert_int_equal(utimensat(AT_FDCWD, old, times, 0), 0);
    reopen(fixture, 1u << 20);
    reopen(fixture, 1u << 20);
    assert_int_equal(access(old, F_OK), -1);
    assert_int_equal(access(fresh, F_OK), 0);
}

/* A received artifact is accepted whole or not at all. */
static void a_received_artifact_is_whole_or_rejected(void **state)
{
    (void)state;
    struct buf packed = { .max = 1u << 20 }, output = { .max = ARTIFACT_OUTPUT_BYTES_MAX };
    struct error err = { 0 };
    bool cut = false;
    char got[8] = "";
    auto_close int fd = archive_with("archive", 7);
    int found_fd = -1;

    assert_int_equal(artifact_file_pack(fd, TEXT("a warning"), true, &packed, &err), 0);
    assert_int_equal(artifact_file_unpack(buf_text(&packed), &found_fd, &output, &cut, &err), 1);
    assert_int_equal(pread(found_fd, got, sizeof got, 0), 7);
    assert_memory_equal(got, "archive", 7);
    assert_string_equal(output.at, "a warning");
    assert_true(cut);
    (void)close(found_fd);
    for (size_t len = 0; len < packed.len; len++) { /* cut off anywhere */
        buf_clear(&output);
        assert_int_equal(artifact_file_unpack((struct text){ packed.at, len }, &found_fd, &output, &cut, &err), 0);
    }
    for (size_t at = 0; at < packed.len; at++) { /* one bit is flipped */
        if (at >= 20 && at < 24)
            continue; /* output_cut: a flag, true or not */
        packed.at[at] ^= 1;
        buf_clear(&output);
        assert_int_equal(artifact_file_unpack(buf_text(&packed), &found_fd, &output, &cut, &err), 0);
        packed.at[at] ^= 1;
    }
    buf_done(&packed);
    buf_done(&output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_received_artifact_is_whole_or_rejected),
        cmocka_unit_test_setup_teardown(returns_what_was_put, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_large_archives_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(artifacts_are_sealed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_files_are_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(least_recently_used_leave_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_most_recently_used_are_in_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_memory_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_smaller_maximum_evicts_at_the_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_only_stops_the_caching, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_folder_open_to_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(old_temporary_files_are_removed, set_up, tear_down),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
