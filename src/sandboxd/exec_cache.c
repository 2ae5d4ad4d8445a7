/*
 * exec_cache: see the header.
 *
 * This code runs as root on an archive that the worker chose.  It reads only the entries' heads, checks each number
 * against the file's size, and copies the content without reading it.
 */
#include "sandboxd/exec_cache.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/archive.h"

void exec_cache_init(struct exec_cache *cache)
{
    *cache = (struct exec_cache){ .archive = -1 };
}

static void clear(struct exec_cache *cache)
{
    if (cache->number != 0) /* a box that has mounted it keeps it */
        (void)unlinkat(cache->image->cache_dir, EXEC_CACHE_NAME, 0);
    cache->number = 0;
}

bool exec_cache_is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void exec_cache_see(struct exec_cache *cache, int archive)
{
    struct stat st = { 0 };
    bool is_file = archive >= 0 && fstat(archive, &st) == 0 && S_ISREG(st.st_mode);
    if (is_file && cache->archive >= 0 && exec_cache_is_same(&st, &cache->seen)) {
        cache->repeated = true;
        return;
    }
    clear(cache);
    cleanup_close(&cache->archive);
    bool fits =
        is_file && st.st_size >= (off_t)EXEC_CACHE_FILE_BYTES_MIN && st.st_size <= (off_t)EXEC_CACHE_ARCHIVE_BYTES_MAX;
    cache->archive = fits ? fcntl(archive, F_DUPFD_CLOEXEC, 3) : -1;
    cache->seen = st;
    cache->repeated = cache->rejected = false;
}

/* Reads the entry of the archive at *at, and advances *at past its content.  False if there is none. */
static bool next_entry(const struct exec_cache *cache, off_t *at, struct archive_entry *ret,
                       char name[ARCHIVE_NAME_MAX + 1])
{
    struct {
        struct archive_entry entry;
        char name[ARCHIVE_NAME_MAX];
    } head;
    ssize_t got = pread(cache->archive, &head, sizeof head, *at);
    if (got < (ssize_t)sizeof head.entry)
        return false;
    *ret = head.entry;
    size_t len = ret->name_len, before = sizeof head.entry + len;
    if (len > ARCHIVE_NAME_MAX || (size_t)got < before || ret->size > EXEC_CACHE_ARCHIVE_BYTES_MAX ||
        (uint64_t)*at + before + ret->size > (uint64_t)cache->seen.st_size)
        return false;
    memcpy(name, head.name, len);
    name[len] = '\0';
    *at += (off_t)(before + ret->size);
    return true;
}

/* Finds the largest executable in the archive's top folder, and the position of its content.  False if none fits. */
static bool find_executable(struct exec_cache *cache, off_t *ret_at)
{
    char magic[sizeof ARCHIVE_MAGIC - 1], name[ARCHIVE_NAME_MAX + 1];
    struct archive_entry entry;
    off_t at = sizeof magic;
    cache->size = 0;
    if (pread(cache->archive, magic, sizeof magic, 0) != (ssize_t)sizeof magic ||
        memcmp(magic, ARCHIVE_MAGIC, sizeof magic) != 0)
        return false;
    for (unsigned i = 0; i < EXEC_CACHE_ENTRIES_MAX && next_entry(cache, &at, &entry, name); i++) {
        if (entry.mode != 0755 || entry.size < EXEC_CACHE_FILE_BYTES_MIN || entry.size <= cache->size ||
            !archive_name_is_plain(name, entry.name_len) || strchr(name, '/') != NULL)
            continue;
        cache->size = entry.size;
        memcpy(cache->name, name, sizeof name);
        *ret_at = at - (off_t)entry.size;
    }
    return cache->size > 0;
}

static bool copy_to(int folder, int from, off_t at, uint64_t size)
{
    auto_close int to = openat(folder, EXEC_CACHE_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
    return to >= 0 && fchmod(to, 0755) == 0 && archive_copy(from, &at, size, to) == 0;
}

uint64_t exec_cache_number(const struct exec_cache *cache, const struct image *image)
{
    return cache->image == image ? cache->number : 0;
}

uint64_t exec_cache_store(struct exec_cache *cache, const struct image *image)
{
    if (exec_cache_number(cache, image) != 0)
        return cache->number;
    clear(cache);
    off_t at;
    if (!cache->repeated || cache->rejected || cache->archive < 0 || image->cache_dir < 0)
        return 0;
    cache->rejected = true; /* until it is stored: nothing is tried twice */
    if (!find_executable(cache, &at))
        return 0;
    if (!copy_to(image->cache_dir, cache->archive, at, cache->size)) {
        (void)unlinkat(image->cache_dir, EXEC_CACHE_NAME, 0);
        return 0;
    }
    cache->rejected = false;
    cache->image = image;
    cache->number = ++cache->last_number;
    return cache->number;
}
