/*
 * An archive that a hostile worker, or a program at compile time, may have written.  Unpacking creates only plain
 * files, and nothing outside its folder.  Packing and unpacking them again gives the same files.
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
    int fd = memfd_create("archive", MFD_CLOEXEC);
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
    return (unsigned)st.st_nlink; /* counts folders; remove_top finds files */
}

/* The exec cache stores one file of the archive or none.  The archive is enlarged to the cache's minimum first. */
static void cache_executable(int archive, int folder)
{
    struct image image = { .cache_dir = folder };
    struct exec_cache cache;
    struct stat st;
    if (ftruncate(archive, size_of(archive) + 2 * EXEC_CACHE_FILE_BYTES_MIN) < 0)
        abort();
    exec_cache_init(&cache);
    exec_cache_see(&cache, archive);
    assert(exec_cache_store(&cache, &image) == 0); /* seen once */
    exec_cache_see(&cache, archive);
    uint64_t number = exec_cache_store(&cache, &image);
    if (number != 0) {
        assert(fstatat(folder, EXEC_CACHE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && (uint64_t)st.st_size == cache.size);
        assert(number == 1 && cache.size <= (uint64_t)size_of(archive) && strchr(cache.name, '/') == NULL);
        assert(archive_unpack_except(archive, folder, cache.name) >= 0);
    }
    exec_cache_see(&cache, -1);
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
    cache_executable(archive, folder);
    (void)rmdir(inside);
    assert(rmdir(outside) == 0); /* fails where anything was made beside the folder */
    if (mkdir(outside, 0755) < 0 || mkdir(inside, 0755) < 0)
        abort();
    return 0;
}
