/*
 * artifact_file: one artifact on the disk.
 *
 * Form: a header of fixed size (magic, how long the parts are, SHA-256 of what follows), the compiler's output,
 * the bundle.  Written to a temporary file in the same folder, flushed, renamed: a file under its real name is
 * whole unless the disk lied, and then the lengths or the sum do not fit and it is removed.
 * Knows nothing of threads or of what a key means.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define ARTIFACT_KEY_LEN 64 /* hexadecimal digits of a SHA-256 */
#define ARTIFACT_KEY_BYTES (ARTIFACT_KEY_LEN + 1)
#define ARTIFACT_OUTPUT_BYTES_MAX (64u << 10)
#define ARTIFACT_TEMPORARY ".making-" /* first part of a temporary file's name */

/* Reads the artifact into a sealed memfd.  1: there, 0: not there (or torn, and removed), -1: *err.
 * Marks it as just used (its mtime).  *output gets what the compiler printed. */
int artifact_file_load(int folder_fd, const char *key, int *ret_archive_fd, struct buf *output, bool *ret_output_cut,
                       struct error *err);

/* The same mark for one that was not read. */
void artifact_file_touch(int folder_fd, const char *key);

/* *ret_bytes is what it takes on the disk.  On error nothing is left behind. */
int artifact_file_store(int folder_fd, const char *key, int archive_fd, struct text output, bool output_cut,
                        uint64_t *ret_bytes, struct error *err);

/* The same form in memory, to be sent.  Appended to *ret, which fails where it may not grow so far. */
int artifact_file_pack(int archive_fd, struct text output, bool output_cut, struct buf *ret, struct error *err);
/* As artifact_file_load, of what somebody sent: 1, 0 where it is not whole, -1. */
int artifact_file_unpack(struct text bytes, int *ret_archive_fd, struct buf *output, bool *ret_output_cut,
                         struct error *err);

/* A sealed memfd with `size` bytes of from_fd starting at `offset`; from_fd's own position stays. */
int artifact_memfd_copy(int from_fd, uint64_t offset, uint64_t size, int *ret_fd, struct error *err);
