/*
 * bundle: some files in one descriptor, the way they travel into a box and out of it.
 *
 * Written by the worker (sources) and by the slot's first process after a compile, running as the program's own user
 * inside the box; read only by that process, as that user, before the program starts.  So a hostile bundle can do
 * no more than the program itself.  Format, little-endian: "EVXBNDL1", then for each file
 * u32 name_len, u32 mode (0644 or 0755), u64 size, name, content.
 */
#pragma once
#include <stdint.h>

#include "base/error.h"
#include "model/submission.h"

#define ARCHIVE_MAGIC "EVXBNDL1"
#define ARCHIVE_FILES_MAX 4096
#define ARCHIVE_NAME_MAX 200
struct archive_entry {
    uint32_t name_len;
    uint32_t mode;
    uint64_t size;
};

/* A sealed memfd with the files, position 0, mode 0644 each.  The caller closes it. */
int archive_of_files(const struct file files[], size_t len, int *ret_fd, struct error *err);
