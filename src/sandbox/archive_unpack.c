/* archive_unpack: unpacks an archive into a box, and packs a box into an archive.  Linked into worker and root side. */
#include "sandbox/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

static int open_beneath(int folder, const char *name, uint64_t flags, uint64_t mode)
{
    struct open_how how = { .flags = flags | O_CLOEXEC | O_NOFOLLOW,
                            .mode = mode,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
    return (int)syscall(SYS_openat2, folder, name, &how, sizeof how);
}

static uint64_t whole_pages(uint64_t bytes)
{
    return (bytes + ARCHIVE_PAGE_BYTES - 1) / ARCHIVE_PAGE_BYTES * ARCHIVE_PAGE_BYTES;
}

/*
 * A window into the archive.  Most archives fit into it, so that one pread reads the whole.  The rest of a large file
 * is copied with sendfile.
 */
struct window {
    int archive;
    off_t begin; /* position of bytes[0] in the archive */
    size_t len;
    char bytes[65536];
};

/* Only one process of a box unpacks. */
static struct window window;

/* Points *ret at `len` bytes (at most the window's size) at position `at`.  EBADMSG: the archive ends before. */
static int read_at(off_t at, size_t len, const char **ret)
{
    if (at < window.begin || (uint64_t)at + len > (uint64_t)window.begin + window.len) {
        ssize_t got;
        do
            got = pread(window.archive, window.bytes, sizeof window.bytes, at);
        while (got < 0 && errno == EINTR);
        if (got < 0 || (size_t)got < len) /* a memfd never returns less than it holds */
            return got < 0 ? errno : EBADMSG;
        window.begin = at;
        window.len = (size_t)got;
    }
    *ret = window.bytes + (at - window.begin);
    return 0;
}

static int write_all(int fd, const void *bytes, size_t len)
{
    for (const char *at = bytes; len > 0;) {
        ssize_t wrote = write(fd, at, len);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return wrote < 0 ? errno : EIO;
        at += wrote;
        len -= (size_t)wrote;
    }
    return 0;
}

/*
 * Makes the folders of a name such as "a/b/c.h", at most *left.  The name has been checked, so they are below `folder`.
 */
static int make_folders(int folder, char *name, unsigned *left)
{
    for (char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        /* We made these folders ourselves and no program has run here, so none of them is a link. */
        int os = mkdirat(folder, name, 0755) < 0 ? errno : 0;
        *slash = '/';
        if (os != 0 && os != EEXIST)
            return os;
        if (os == 0 && (*left)-- == 0)
            return EBADMSG;
    }
    return 0;
}

bool archive_name_is_plain(const char *name, size_t len)
{
    if (len == 0 || len > ARCHIVE_NAME_MAX || memchr(name, '\0', len) != NULL || name[0] == '/' || name[len - 1] == '/')
        return false;
    unsigned depth = 0;
    for (const char *part = name; part != NULL;) {
        const char *end = memchr(part, '/', len - (size_t)(part - name));
        size_t part_len = end == NULL ? len - (size_t)(part - name) : (size_t)(end - part);
        if (part_len == 0 || (part_len == 1 && part[0] == '.') || (part_len == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        if (end != NULL && ++depth > ARCHIVE_DEPTH_MAX)
            return false;
        part = end == NULL ? NULL : end + 1;
    }
    return true;
}

int archive_copy(int from, off_t *at, uint64_t size, int to)
{
    while (size > 0) {
        ssize_t sent = sendfile(to, from, at, size > 1u << 30 ? 1u << 30 : (size_t)size);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return sent < 0 ? errno : EBADMSG;
        size -= (uint64_t)sent;
    }
    return 0;
}

/* Writes `size` bytes of the archive at *at to `to`, and advances *at. */
static int unpack_content(off_t *at, uint64_t size, int to)
{
    uint64_t end = (uint64_t)window.begin + window.len;
    size_t buffered = (uint64_t)*at < end ? (size_t)(end - (uint64_t)*at) : 0;
    if (buffered > size)
        buffered = (size_t)size;
    int os = buffered > 0 ? write_all(to, window.bytes + (*at - window.begin), buffered) : 0;
    *at += (off_t)buffered;
    return os != 0 ? os : archive_copy(window.archive, at, size - buffered, to);
}

/* The content of a file with holes.  Only pieces take memory, so a piece that is not whole pages is refused. */
static int unpack_sparse(off_t *at, uint64_t size, int to)
{
    uint64_t file_size, end = 0;
    const char *bytes;
    int os = size < sizeof file_size ? EBADMSG : read_at(*at, sizeof file_size, &bytes);
    if (os != 0)
        return os;
    memcpy(&file_size, bytes, sizeof file_size);
    *at += sizeof file_size;
    size -= sizeof file_size;
    if (file_size > INT64_MAX || ftruncate(to, (off_t)file_size) < 0)
        return file_size > INT64_MAX ? EBADMSG : errno;
    while (size > 0) {
        struct archive_piece piece;
        os = size < sizeof piece ? EBADMSG : read_at(*at, sizeof piece, &bytes);
        if (os != 0)
            return os;
        memcpy(&piece, bytes, sizeof piece);
        *at += sizeof piece;
        size -= sizeof piece;
        if (piece.len == 0 || piece.len > size || piece.offset < end || piece.offset > file_size ||
            piece.len > file_size - piece.offset || piece.offset % ARCHIVE_PAGE_BYTES != 0 ||
            (piece.len % ARCHIVE_PAGE_BYTES != 0 && piece.offset + piece.len != file_size))
            return EBADMSG;
        end = piece.offset + piece.len;
        if (lseek(to, (off_t)piece.offset, SEEK_SET) < 0)
            return errno;
        os = unpack_content(at, piece.len, to);
        if (os != 0)
            return os;
        size -= piece.len;
    }
    return 0;
}

/* Reads the head of the entry at *at and its name, and advances *at to the content. */
static int read_head(off_t *at, struct archive_entry *ret, char name[ARCHIVE_NAME_MAX + 1])
{
    const char *bytes;
    int os = read_at(*at, sizeof *ret, &bytes);
    if (os != 0)
        return os;
    memcpy(ret, bytes, sizeof *ret);
    *at += sizeof *ret;
    uint32_t mode = ret->mode & ~ARCHIVE_SPARSE;
    if (ret->name_len == 0 || ret->name_len > ARCHIVE_NAME_MAX || (mode != 0644 && mode != 0755))
        return EBADMSG;
    os = read_at(*at, ret->name_len, &bytes);
    if (os != 0)
        return os;
    memcpy(name, bytes, ret->name_len);
    *at += ret->name_len;
    name[ret->name_len] = '\0';
    return archive_name_is_plain(name, ret->name_len) && ret->size <= INT64_MAX - (uint64_t)*at ? 0 : EBADMSG;
}

static int unpack_entry(off_t *at, int folder, const char *except, unsigned *folders_left)
{
    struct archive_entry entry;
    char name[ARCHIVE_NAME_MAX + 1];
    int os = read_head(at, &entry, name);
    if (os != 0)
        return os;
    if (except != NULL && strcmp(name, except) == 0) {
        *at += (off_t)entry.size;
        return 0;
    }
    os = make_folders(folder, name, folders_left);
    if (os != 0)
        return os;

    auto_close int to = open_beneath(folder, name, O_WRONLY | O_CREAT | O_EXCL, entry.mode & 0777);
    if (to < 0)
        return errno;
    return (entry.mode & ARCHIVE_SPARSE) != 0 ? unpack_sparse(at, entry.size, to) : unpack_content(at, entry.size, to);
}

/* Checks the first bytes.  Fills in the positions of the first entry and of the archive's end. */
static int begin(int archive, off_t *ret_at, off_t *ret_end)
{
    struct stat st;
    if (fstat(archive, &st) < 0)
        return errno;
    if (!S_ISREG(st.st_mode))
        return EBADMSG;
    window.archive = archive;
    window.begin = 0;
    window.len = 0;
    const char *magic;
    *ret_at = sizeof ARCHIVE_MAGIC - 1;
    *ret_end = st.st_size;
    int os = read_at(0, (size_t)*ret_at, &magic);
    return os == 0 && memcmp(magic, ARCHIVE_MAGIC, (size_t)*ret_at) != 0 ? EBADMSG : os;
}

int archive_unpack_except(int archive, int folder, const char *except)
{
    unsigned folders_left = ARCHIVE_FOLDERS_MAX;
    off_t at, end;
    int os = begin(archive, &at, &end);
    for (unsigned files = 0; os == 0 && at < end; files++)
        os = files >= ARCHIVE_FILES_MAX ? EBADMSG : unpack_entry(&at, folder, except, &folders_left);
    return os;
}

/* How many folders of `name` are not those of the name before: a folder's files follow one another in archives. */
static unsigned count_new_folders(const char *name, const char *before)
{
    size_t same = 0;
    for (size_t i = 0; name[i] != '\0' && name[i] == before[i]; i++)
        if (name[i] == '/')
            same = i + 1;
    unsigned count = 0;
    for (const char *slash = strchr(name + same, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
        count++;
    return count;
}

int archive_measure(int archive, uint64_t *ret_bytes)
{
    char names[2][ARCHIVE_NAME_MAX + 1] = { "", "" };
    off_t at = 0, end = 0;
    *ret_bytes = 0;
    int os = begin(archive, &at, &end);
    for (unsigned files = 0; os == 0 && at < end; files++) {
        struct archive_entry entry;
        char *name = names[files % 2];
        os = files >= ARCHIVE_FILES_MAX ? EBADMSG : read_head(&at, &entry, name);
        if (os == 0 && entry.size > (uint64_t)(end - at))
            os = EBADMSG;
        if (os != 0)
            break;
        at += (off_t)entry.size;
        *ret_bytes += whole_pages(entry.size) +
                      (1 + count_new_folders(name, names[(files + 1) % 2])) * (uint64_t)ARCHIVE_INODE_BYTES;
    }
    return os;
}

int archive_unpack(int archive, int folder)
{
    return archive_unpack_except(archive, folder, NULL);
}

struct packing {
    int archive;
    uint64_t bytes_left;
    unsigned files_left, folders_left;
    char name[ARCHIVE_NAME_MAX + 1]; /* of the current entry, relative to the top folder */
};

/* Takes the pages of `bytes` from what may still be packed.  False: they are too many. */
static bool take_pages(struct packing *p, uint64_t bytes)
{
    if (bytes > INT64_MAX || whole_pages(bytes) > p->bytes_left)
        return false;
    p->bytes_left -= whole_pages(bytes);
    return true;
}

/* Packs a file with holes: its size, then every piece of data.  The archive's position ends after them. */
static int pack_pieces(struct packing *p, int fd, const struct stat *st)
{
    uint64_t file_size = (uint64_t)st->st_size;
    int os = write_all(p->archive, &file_size, sizeof file_size);
    for (off_t at = 0; os == 0;) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0)
            return errno == ENXIO ? 0 : errno; /* ENXIO: only a hole is left */
        off_t hole = lseek(fd, data, SEEK_HOLE);
        if (hole < 0)
            return errno;
        struct archive_piece piece = { .offset = (uint64_t)data, .len = (uint64_t)(hole - data) };
        if (!take_pages(p, piece.len))
            return EFBIG;
        os = write_all(p->archive, &piece, sizeof piece);
        at = data;
        if (os == 0)
            os = archive_copy(fd, &at, piece.len, p->archive);
    }
    return os;
}

static int pack_file(struct packing *p, int fd, const struct stat *st)
{
    bool has_holes = (uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size;
    if (p->files_left == 0 || (!has_holes && !take_pages(p, (uint64_t)st->st_size)))
        return EFBIG;
    p->files_left--;
    struct archive_entry entry = { .name_len = (uint32_t)strlen(p->name),
                                   .mode = (st->st_mode & 0111) ? 0755 : 0644,
                                   .size = (uint64_t)st->st_size };
    off_t head = lseek(p->archive, 0, SEEK_CUR), at = 0;
    int os = head < 0 ? errno : write_all(p->archive, &entry, sizeof entry);
    if (os == 0)
        os = write_all(p->archive, p->name, entry.name_len);
    if (os != 0 || !has_holes)
        return os != 0 ? os : archive_copy(fd, &at, entry.size, p->archive);
    os = pack_pieces(p, fd, st);
    off_t end = lseek(p->archive, 0, SEEK_CUR);
    entry.mode |= ARCHIVE_SPARSE;
    entry.size = (uint64_t)(end - head) - sizeof entry - entry.name_len;
    return os == 0 && pwrite(p->archive, &entry, sizeof entry, head) != (ssize_t)sizeof entry ? EIO : os;
}

/* The layout of getdents64(2).  opendir would allocate. */
struct folder_entry {
    uint64_t inode;
    int64_t offset;
    unsigned short len;
    unsigned char type;
    char name[];
};

static int pack_folder(struct packing *p, int folder, size_t name_len, unsigned depth);

static int pack_entry(struct packing *p, int folder, const char *name, size_t prefix_len, unsigned depth)
{
    size_t len = strlen(name);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    if (prefix_len + len > ARCHIVE_NAME_MAX)
        return ENAMETOOLONG;
    memcpy(p->name + prefix_len, name, len + 1);

    /*
     * O_NONBLOCK: a FIFO must not block us.  Skipped: everything but plain files and folders, and a file under a lease
     * (EAGAIN).  A descriptor in flight keeps its lease after its process has ended.
     */
    auto_close int fd = open_beneath(folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return errno == ELOOP || errno == ENXIO || errno == EACCES || errno == EAGAIN ? 0 : errno;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return errno;
    if (S_ISREG(st.st_mode))
        return pack_file(p, fd, &st);
    if (!S_ISDIR(st.st_mode) || depth >= ARCHIVE_DEPTH_MAX)
        return 0;
    if (prefix_len + len == ARCHIVE_NAME_MAX) /* the names of its entries are longer still */
        return ENAMETOOLONG;
    if (p->folders_left-- == 0)
        return EFBIG;
    p->name[prefix_len + len] = '/';
    p->name[prefix_len + len + 1] = '\0';
    return pack_folder(p, fd, prefix_len + len + 1, depth + 1);
}

static int pack_folder(struct packing *p, int folder, size_t name_len, unsigned depth)
{
    _Alignas(struct folder_entry) char entries[4096];
    for (;;) {
        long got = syscall(SYS_getdents64, folder, entries, sizeof entries);
        if (got <= 0)
            return got < 0 ? errno : 0;
        for (long at = 0; at < got;) {
            const struct folder_entry *entry = (const void *)(entries + at);
            int os = pack_entry(p, folder, entry->name, name_len, depth);
            if (os != 0)
                return os;
            at += entry->len;
        }
    }
}

int archive_pack(int folder, int archive, uint64_t bytes_max)
{
    struct packing p = { .archive = archive,
                         .bytes_left = bytes_max,
                         .files_left = ARCHIVE_FILES_MAX,
                         .folders_left = ARCHIVE_FOLDERS_MAX };
    int os = write_all(archive, ARCHIVE_MAGIC, sizeof ARCHIVE_MAGIC - 1);
    return os != 0 ? os : pack_folder(&p, folder, 0, 0);
}
