/*
 * unpack: a bundle into the box, and the box into a bundle.  Runs inside the box's namespaces with the file-system
 * identity of the program's own user, so whatever a bundle or a box holds, no more can be reached than the program
 * could reach.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Reads the bundle with pread (its position is shared with other boxes) and makes its files below `folder`, which no
 * program has touched yet.  0 or errno: EBADMSG for a bundle that is not one, ENOSPC where the box is full.
 */
int archive_unpack(int archive, int folder);
/* As unpack, but for the file of this name, which is there already. */
int archive_unpack_except(int archive, int folder, const char *there);

/* So many bytes of `from` at *at, which moves on, to where `to` stands.  0 or errno; EBADMSG where there are fewer. */
int archive_copy(int from, off_t *at, uint64_t size, int to);

/* May a file of a bundle be called so: no absolute path, no part of it empty, "." or "..", no NUL? */
bool archive_name_is_plain(const char *name, size_t len);

/*
 * Regular files below `folder` (no links followed, at most ARCHIVE_FILES_MAX, ARCHIVE_DEPTH_MAX folders deep, bytes_max
 * in all) appended to the empty `bundle`.  Every other process of the box has ended.  0 or errno.
 */
#define ARCHIVE_DEPTH_MAX 8
int archive_pack(int folder, int archive, uint64_t bytes_max);
