/*
 * artifact_file: one artifact as a file.
 *
 * Format: a header of fixed size (magic, lengths of the parts, SHA-256 of the parts), the compiler's output, the
 * archive.  The file is written under a temporary name in the same folder, flushed and renamed.  So a file under its
 * final name is whole unless the disk failed; then its lengths or its checksum do not match, and it is removed.
 * This module knows neither threads nor the meaning of a key.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define ARTIFACT_KEY_LEN 64 /* hexadecimal digits of a SHA-256 */
#define ARTIFACT_KEY_BYTES (ARTIFACT_KEY_LEN + 1)
#define ARTIFACT_OUTPUT_BYTES_MAX (64u << 10)
#define ARTIFACT_TEMPORARY ".making-" /* prefix of temporary names */

/*
 * Reads the artifact into a sealed memfd, and the compiler's output into the empty *output.  Returns 1, or 0 if there
 * is no such artifact (a damaged one is removed), or -1 with *err.  Sets the file's mtime, which is its time of last
 * use.
 */
int artifact_file_load(int folder_fd, const char *key, int *ret_archive_fd, struct buf *output, bool *ret_output_cut,
                       struct error *err);

/* Sets the time of last use of an artifact that was not read from the disk. */
void artifact_file_touch(int folder_fd, const char *key);

/* *ret_bytes is the space it takes on the disk.  On error no file is left behind. */
int artifact_file_store(int folder_fd, const char *key, int archive_fd, struct text output, bool output_cut,
                        uint64_t *ret_bytes, struct error *err);

/* Appends the artifact in the same format to *ret, to send it.  Fails if *ret may not grow so large. */
int artifact_file_pack(int archive_fd, struct text output, bool output_cut, struct buf *ret, struct error *err);
/* Reads a received artifact.  Returns as artifact_file_load: 0 if it is not whole. */
int artifact_file_unpack(struct text bytes, int *ret_archive_fd, struct buf *output, bool *ret_output_cut,
                         struct error *err);

/* Appends `size` bytes of from_fd from `offset` on to to_fd.  The position of from_fd does not change. */
int artifact_copy_bytes(int to_fd, int from_fd, uint64_t offset, uint64_t size, struct error *err);
/* A sealed memfd with `size` bytes of from_fd from `offset` on.  The position of from_fd does not change. */
int artifact_memfd_copy(int from_fd, uint64_t offset, uint64_t size, int *ret_fd, struct error *err);
