/*
 * A bundle as a taken-over worker, or a program at compile time, may have written it.  Unpacking makes nothing outside
 * its folder and nothing but plain files; what it made, packed and unpacked again, is the same.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/archive.h"
#include "sandboxd/exec_cache.h"

#define PACKED_MAX (1u << 20)

static char top[40];
static char outside[64], inside[64];
static unsigned removed;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)type;
    assert(S_ISDIR(st->st_mode) || S_ISREG(st->st_mode));
    if (where->level == 0)
        return 0;
    removed++;
    return remove(path);
}

/* How many entries there were below it. */
static unsigned empty(const char *folder)
{
    removed = 0;
    if (nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        abort();
    return removed;
}

static void remove_top(void)
{
    (void)empty(top);
    (void)rmdir(top);
}

static void make(void)
{
    static bool is_made;

    if (is_made)
        return;
    is_made = true;
    /* In memory where it can be: each round makes and removes folders. */
    (void)snprintf(top, sizeof top, "%s/evalx-fuzz-bundle-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(top) == NULL)
        abort();
    (void)snprintf(outside, sizeof outside, "%s/outside", top);
    (void)snprintf(inside, sizeof inside, "%s/outside/inside", top);
    if (mkdir(outside, 0755) < 0 || mkdir(inside, 0755) < 0 || atexit(remove_top) != 0)
        abort();
}

static int archive_with(const void *bytes, size_t len)
{
    int fd = memfd_create("bundle", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
        abort();
    return fd;
}

static off_t size_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        abort();
    return st.st_size;
}

static unsigned entries_outside(void)
{
    struct stat st;
    if (stat(outside, &st) < 0)
        abort();
    return (unsigned)st.st_nlink; /* folders only; files are seen by what is left when the inside has been emptied */
}

/* The root side's look at it, as large as it must be for that: one file or none, of what the bundle says. */
static void shelve(int archive, int folder)
{
    struct image image = { .exec_cache = folder };
    struct exec_cache exec_cache;
    struct stat st;
    if (ftruncate(archive, size_of(archive) + 2 * EXEC_CACHE_FILE_BYTES_MIN) < 0)
        abort();
    exec_cache_init(&exec_cache);
    exec_cache_see(&exec_cache, archive);
    assert(exec_cache_offer(&exec_cache, &image) == 0); /* seen once */
    exec_cache_see(&exec_cache, archive);
    uint64_t number = exec_cache_offer(&exec_cache, &image);
    if (number != 0) {
        assert(fstatat(folder, EXEC_CACHE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
               (uint64_t)st.st_size == exec_cache.size);
        assert(number == 1 && exec_cache.size <= (uint64_t)size_of(archive) && strchr(exec_cache.name, '/') == NULL);
        assert(archive_unpack_except(archive, folder, exec_cache.name) >= 0);
    }
    exec_cache_see(&exec_cache, -1);
    assert(fstatat(folder, EXEC_CACHE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0 || number == 0);
    assert(entries_outside() == 3);
    (void)empty(inside);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    make();
    auto_close int archive = archive_with(bytes, len);
    auto_close int folder = open(inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        abort();
    int os = archive_unpack(archive, folder);
    assert(os >= 0);
    assert(entries_outside() == 3);
    if (os == 0) {
        auto_close int first = archive_with("", 0), second = archive_with("", 0);
        (void)lseek(folder, 0, SEEK_SET);
        assert(archive_pack(folder, first, PACKED_MAX) == 0);
        assert(size_of(first) <= size_of(archive));
        (void)empty(inside);
        (void)lseek(folder, 0, SEEK_SET);
        assert(archive_unpack(first, folder) == 0);
        (void)lseek(folder, 0, SEEK_SET);
        assert(archive_pack(folder, second, PACKED_MAX) == 0);
        assert(size_of(second) == size_of(first));
    }
    (void)empty(inside);
    shelve(archive, folder);
    (void)rmdir(inside);
    assert(rmdir(outside) == 0); /* fails where anything was made beside the folder */
    if (mkdir(outside, 0755) < 0 || mkdir(inside, 0755) < 0)
        abort();
    return 0;
}
