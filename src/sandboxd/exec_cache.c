/*
 * shelf: see the header.
 *
 * This is the root side, and the bundle is whatever the worker gives: of it the first lines are looked at, each number
 * against the file's size, and the content is moved on unread.
 */
#include "sandboxd/exec_cache.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/archive.h"

void exec_cache_init(struct exec_cache *exec_cache)
{
    *exec_cache = (struct exec_cache){ .archive = -1 };
}

static void clear(struct exec_cache *exec_cache)
{
    if (exec_cache->number != 0) /* a box that has it keeps it */
        (void)unlinkat(exec_cache->image->exec_cache, EXEC_CACHE_NAME, 0);
    exec_cache->number = 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void exec_cache_see(struct exec_cache *exec_cache, int archive)
{
    struct stat st = { 0 };
    bool is_file = archive >= 0 && fstat(archive, &st) == 0 && S_ISREG(st.st_mode);
    if (is_file && exec_cache->archive >= 0 && is_same(&st, &exec_cache->seen)) {
        exec_cache->again = true;
        return;
    }
    clear(exec_cache);
    cleanup_close(&exec_cache->archive);
    bool fits =
        is_file && st.st_size >= (off_t)EXEC_CACHE_FILE_BYTES_MIN && st.st_size <= (off_t)EXEC_CACHE_ARCHIVE_BYTES_MAX;
    exec_cache->archive = fits ? fcntl(archive, F_DUPFD_CLOEXEC, 3) : -1;
    exec_cache->seen = st;
    exec_cache->again = exec_cache->refused = false;
}

/* The file of the bundle that begins at *at, which moves on behind it; false where there is none. */
static bool next_file(const struct exec_cache *exec_cache, off_t *at, struct archive_entry *ret,
                      char name[ARCHIVE_NAME_MAX + 1])
{
    struct {
        struct archive_entry entry;
        char name[ARCHIVE_NAME_MAX];
    } head;
    ssize_t got = pread(exec_cache->archive, &head, sizeof head, *at);
    if (got < (ssize_t)sizeof head.entry)
        return false;
    *ret = head.entry;
    size_t len = ret->name_len, before = sizeof head.entry + len;
    if (len > ARCHIVE_NAME_MAX || (size_t)got < before || ret->size > EXEC_CACHE_ARCHIVE_BYTES_MAX ||
        (uint64_t)*at + before + ret->size > (uint64_t)exec_cache->seen.st_size)
        return false;
    memcpy(name, head.name, len);
    name[len] = '\0';
    *at += (off_t)(before + ret->size);
    return true;
}

/* The largest executable at the top of the bundle: name, size, and where its content begins; false where none fits. */
static bool find_program(struct exec_cache *exec_cache, off_t *ret_at)
{
    char magic[sizeof ARCHIVE_MAGIC - 1], name[ARCHIVE_NAME_MAX + 1];
    struct archive_entry entry;
    off_t at = sizeof magic;
    exec_cache->size = 0;
    if (pread(exec_cache->archive, magic, sizeof magic, 0) != (ssize_t)sizeof magic ||
        memcmp(magic, ARCHIVE_MAGIC, sizeof magic) != 0)
        return false;
    for (unsigned i = 0; i < EXEC_CACHE_FILES_LOOKED_AT && next_file(exec_cache, &at, &entry, name); i++) {
        if (entry.mode != 0755 || entry.size < EXEC_CACHE_FILE_BYTES_MIN || entry.size <= exec_cache->size ||
            !archive_name_is_plain(name, entry.name_len) || strchr(name, '/') != NULL)
            continue;
        exec_cache->size = entry.size;
        memcpy(exec_cache->name, name, sizeof name);
        *ret_at = at - (off_t)entry.size;
    }
    return exec_cache->size > 0;
}

static bool copy(int from, off_t at, uint64_t size, int folder)
{
    auto_close int to = openat(folder, EXEC_CACHE_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
    return to >= 0 && fchmod(to, 0755) == 0 && archive_copy(from, &at, size, to) == 0;
}

uint64_t exec_cache_number(const struct exec_cache *exec_cache, const struct image *image)
{
    return exec_cache->image == image ? exec_cache->number : 0;
}

uint64_t exec_cache_offer(struct exec_cache *exec_cache, const struct image *image)
{
    if (exec_cache_number(exec_cache, image) != 0)
        return exec_cache->number;
    clear(exec_cache);
    off_t at;
    if (!exec_cache->again || exec_cache->refused || exec_cache->archive < 0 || image->exec_cache < 0)
        return 0;
    exec_cache->refused = true; /* until it is there: nothing is tried twice */
    if (!find_program(exec_cache, &at))
        return 0;
    if (!copy(exec_cache->archive, at, exec_cache->size, image->exec_cache)) {
        (void)unlinkat(image->exec_cache, EXEC_CACHE_NAME, 0);
        return 0;
    }
    exec_cache->refused = false;
    exec_cache->image = image;
    exec_cache->number = ++exec_cache->last;
    return exec_cache->number;
}
