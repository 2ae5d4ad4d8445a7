/*
 * shelf: see the header.
 *
 * This is the root side, and the bundle is whatever the worker gives: of it the first lines are looked at, each number
 * against the file's size, and the content is moved on unread.
 */
#include "sandbox/launcher/shelf.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"
#include "sandbox/launcher/unpack.h"

void shelf_init(struct shelf *shelf)
{
    *shelf = (struct shelf){ .bundle = -1 };
}

static void clear(struct shelf *shelf)
{
    if (shelf->number != 0) /* a box that has it keeps it */
        (void)unlinkat(shelf->image->shelf, SHELF_NAME, 0);
    shelf->number = 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void shelf_see(struct shelf *shelf, int bundle)
{
    struct stat st = { 0 };
    bool is_file = bundle >= 0 && fstat(bundle, &st) == 0 && S_ISREG(st.st_mode);
    if (is_file && shelf->bundle >= 0 && is_same(&st, &shelf->seen)) {
        shelf->again = true;
        return;
    }
    clear(shelf);
    scope_close(&shelf->bundle);
    bool fits = is_file && st.st_size >= (off_t)SHELF_FILE_BYTES_MIN && st.st_size <= (off_t)SHELF_BUNDLE_BYTES_MAX;
    shelf->bundle = fits ? fcntl(bundle, F_DUPFD_CLOEXEC, 3) : -1;
    shelf->seen = st;
    shelf->again = shelf->refused = false;
}

/* The file of the bundle that begins at *at, which moves on behind it; false where there is none. */
static bool next_file(const struct shelf *shelf, off_t *at, struct bundle_entry *ret, char name[BUNDLE_NAME_MAX + 1])
{
    struct {
        struct bundle_entry entry;
        char name[BUNDLE_NAME_MAX];
    } head;
    ssize_t got = pread(shelf->bundle, &head, sizeof head, *at);
    if (got < (ssize_t)sizeof head.entry)
        return false;
    *ret = head.entry;
    size_t len = ret->name_len, before = sizeof head.entry + len;
    if (len > BUNDLE_NAME_MAX || (size_t)got < before || ret->size > SHELF_BUNDLE_BYTES_MAX ||
        (uint64_t)*at + before + ret->size > (uint64_t)shelf->seen.st_size)
        return false;
    memcpy(name, head.name, len);
    name[len] = '\0';
    *at += (off_t)(before + ret->size);
    return true;
}

/* The largest executable at the top of the bundle: name, size, and where its content begins; false where none fits. */
static bool find_program(struct shelf *shelf, off_t *ret_at)
{
    char magic[sizeof BUNDLE_MAGIC - 1], name[BUNDLE_NAME_MAX + 1];
    struct bundle_entry entry;
    off_t at = sizeof magic;
    shelf->size = 0;
    if (pread(shelf->bundle, magic, sizeof magic, 0) != (ssize_t)sizeof magic ||
        memcmp(magic, BUNDLE_MAGIC, sizeof magic) != 0)
        return false;
    for (unsigned i = 0; i < SHELF_FILES_LOOKED_AT && next_file(shelf, &at, &entry, name); i++) {
        if (entry.mode != 0755 || entry.size < SHELF_FILE_BYTES_MIN || entry.size <= shelf->size ||
            !unpack_name_is_plain(name, entry.name_len) || strchr(name, '/') != NULL)
            continue;
        shelf->size = entry.size;
        memcpy(shelf->name, name, sizeof name);
        *ret_at = at - (off_t)entry.size;
    }
    return shelf->size > 0;
}

static bool copy(int from, off_t at, uint64_t size, int folder)
{
    auto_close int to = openat(folder, SHELF_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
    return to >= 0 && fchmod(to, 0755) == 0 && unpack_copy(from, &at, size, to) == 0;
}

uint64_t shelf_number(const struct shelf *shelf, const struct image *image)
{
    return shelf->image == image ? shelf->number : 0;
}

uint64_t shelf_offer(struct shelf *shelf, const struct image *image)
{
    if (shelf_number(shelf, image) != 0)
        return shelf->number;
    clear(shelf);
    off_t at;
    if (!shelf->again || shelf->refused || shelf->bundle < 0 || image->shelf < 0)
        return 0;
    shelf->refused = true; /* until it is there: nothing is tried twice */
    if (!find_program(shelf, &at))
        return 0;
    if (!copy(shelf->bundle, at, shelf->size, image->shelf)) {
        (void)unlinkat(image->shelf, SHELF_NAME, 0);
        return 0;
    }
    shelf->refused = false;
    shelf->image = image;
    shelf->number = ++shelf->last;
    return shelf->number;
}
