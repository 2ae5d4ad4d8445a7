/*
 * archive: the format in which files travel into a box and out of it, in one descriptor.
 *
 * The worker writes an archive of the sources (archive_of_files).  Init unpacks it into /box before the program starts,
 * and packs /box after a compile.  `evalx prepare` unpacks what a prepare script made.
 *
 * Format, little-endian: "EVXBNDL2", then for each file u32 name_len, u32 mode (0644 or 0755), u64 size, name and
 * content.  `size` is that of the content.  The content of a file with holes (mode has the bit ARCHIVE_SPARSE) is its
 * u64 size and its pieces: u64 offset, u64 length, bytes.  Pieces are in order and consist of whole pages, except at
 * the file's end.
 *
 * The limits below hold for packing and unpacking alike, so what was packed can be unpacked in an equal box.
 *
 * Unpacking and packing run inside a box, with the file-system identity of the program's user.  A hostile archive can
 * therefore reach no more than the program itself could.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "run/run.h"

#define ARCHIVE_MAGIC "EVXBNDL2"
#define ARCHIVE_SPARSE 0x80000000u
#define ARCHIVE_PAGE_BYTES 4096u
/* Kernel memory of a file or folder in a box: its inode and its name.  Measured on Linux 6.18: 940 bytes. */
#define ARCHIVE_INODE_BYTES 1024u
#define ARCHIVE_FILES_MAX 4096
#define ARCHIVE_FOLDERS_MAX 4096
#define ARCHIVE_NAME_MAX 200
#define ARCHIVE_DEPTH_MAX 8 /* nested folders */

struct archive_entry {
    uint32_t name_len;
    uint32_t mode;
    uint64_t size;
};

struct archive_piece {
    uint64_t offset, len;
};

/* Writes the files, each with mode 0644, to a sealed memfd at position 0.  The caller closes *ret_fd. */
int archive_of_files(const struct file *files, size_t len, int *ret_fd, struct error *err);

/*
 * The functions below are shared with the root side.  They do not allocate, and return 0 or an errno.
 *
 * archive_unpack creates the archive's files below `folder`, in which no program has run yet.  It reads with pread,
 * because other boxes share the descriptor's position.  EBADMSG: the archive is malformed.  ENOSPC: the box is full.
 */
int archive_unpack(int archive, int folder);
/* As archive_unpack, but skips the file named `except`, which exists already. */
int archive_unpack_except(int archive, int folder, const char *except);

/*
 * The memory that the unpacked files take: whole pages, and ARCHIVE_INODE_BYTES for each file and folder.  Reads only
 * the entries' heads.
 */
int archive_measure(int archive, uint64_t *ret_bytes);

/*
 * Appends the regular files below `folder` to the empty `archive`.  Follows no links.  The limits are ARCHIVE_FILES_MAX
 * files, ARCHIVE_FOLDERS_MAX folders, ARCHIVE_DEPTH_MAX folders deep, and bytes_max in all, in whole pages.  Every
 * other process of the box has ended.
 */
int archive_pack(int folder, int archive, uint64_t bytes_max);

/* Copies `size` bytes of `from` at *at to the position of `to`, and advances *at.  EBADMSG: `from` is shorter. */
int archive_copy(int from, off_t *at, uint64_t size, int to);

/* Is the name allowed in an archive: not absolute, no NUL, not too deep, and no part of it empty, "." or ".."? */
bool archive_name_is_plain(const char *name, size_t len);
