/*
 * artifact_memory: the most recently used artifacts, in memory.  Finding one costs no disk access, no checksum and no
 * copy, only a descriptor.
 *
 * At most ARTIFACT_MEMORY_LEN artifacts of ARTIFACT_MEMORY_BYTES_MAX in total; the least recently used one is dropped
 * first.  Not thread-safe: the lock of the artifact cache guards it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "worker/artifact_file.h"

#define ARTIFACT_MEMORY_LEN 64u
#define ARTIFACT_MEMORY_BYTES_MAX (32u << 20)
#define ARTIFACT_MEMORY_BYTES_EACH_MAX (8u << 20)
#define ARTIFACT_MEMORY_TOUCH_US 60000000u /* the least interval between two records of a use on the disk */

struct artifact_memory_entry {
    char key[ARTIFACT_KEY_BYTES]; /* "": a free entry */
    int archive_fd;               /* sealed */
    uint64_t bytes;
    struct buf output;
    bool output_cut;
    uint64_t used_us, touched_us;
};

struct artifact_memory {
    struct artifact_memory_entry entries[ARTIFACT_MEMORY_LEN];
    uint64_t bytes_max, bytes;
};

/* Uses at most bytes_max, and at most ARTIFACT_MEMORY_BYTES_MAX. */
void artifact_memory_init(struct artifact_memory *memory, uint64_t bytes_max);
void artifact_memory_done(struct artifact_memory *memory);

/* NULL if it is not in memory.  Valid until the next call.  *ret_touch: the use must be recorded on the disk. */
const struct artifact_memory_entry *artifact_memory_find(struct artifact_memory *memory,
                                                         const char key[ARTIFACT_KEY_BYTES], uint64_t now_us,
                                                         bool *ret_touch);

/* Keeps a copy, unless it is too large or no descriptor is left. */
void artifact_memory_keep(struct artifact_memory *memory, const char key[ARTIFACT_KEY_BYTES], int archive_fd,
                          struct text output, bool output_cut, uint64_t now_us);
