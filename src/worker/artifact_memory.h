/*
 * artifact_warm: the artifacts used last, in memory: finding one costs no disk, no sum and no copy, only a descriptor.
 * At most ARTIFACT_MEMORY_LEN and ARTIFACT_MEMORY_BYTES_MAX together; the least recently used leaves first.  Not for several threads: the
 * cache's lock guards it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "worker/artifact_file.h"

#define ARTIFACT_MEMORY_LEN 64u
#define ARTIFACT_MEMORY_BYTES_MAX (32u << 20)
#define ARTIFACT_MEMORY_BYTES_EACH_MAX (8u << 20)
#define ARTIFACT_MEMORY_TOUCH_US 60000000u /* a use is noted on the disk no more often than this */

struct artifact_memory_entry {
    char key[ARTIFACT_KEY_BYTES]; /* "": free */
    int archive_fd;               /* sealed */
    uint64_t bytes;
    struct buf output;
    bool output_cut;
    uint64_t used_us, touched_us;
};

struct memory {
    struct artifact_memory_entry entries[ARTIFACT_MEMORY_LEN];
    uint64_t bytes_max, bytes;
};

void artifact_memory_init(struct memory *memory,
                          uint64_t bytes_max); /* at most ARTIFACT_MEMORY_BYTES_MAX of it are used */
void artifact_memory_done(struct memory *memory);

/* NULL: it is not here.  Valid until the next call.  *ret_touch: its use is to be noted on the disk. */
const struct artifact_memory_entry *artifact_memory_find(struct memory *memory, const char key[ARTIFACT_KEY_BYTES],
                                                         uint64_t now_us, bool *ret_touch);

/* Keeps a copy; one that is too large, or for which there is no descriptor, is left out. */
void artifact_memory_keep(struct memory *memory, const char key[ARTIFACT_KEY_BYTES], int archive_fd, struct text output,
                          bool output_cut, uint64_t now_us);
