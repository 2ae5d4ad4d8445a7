/*
 * artifact_warm: the artifacts used last, in memory: finding one costs no disk, no sum and no copy, only a descriptor.
 * At most WARM_LEN and WARM_BYTES_MAX together; the least recently used leaves first.  Not for several threads: the
 * cache's lock guards it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "worker/artifact_file.h"

#define WARM_LEN 64u
#define WARM_BYTES_MAX (32u << 20)
#define WARM_BYTES_EACH_MAX (8u << 20)
#define WARM_TOUCH_US 60000000u /* a use is noted on the disk no more often than this */

struct warm_entry {
    char key[ARTIFACT_KEY_BYTES]; /* "": free */
    int bundle_fd;                /* sealed */
    uint64_t bytes;
    struct buf output;
    bool output_cut;
    uint64_t used_us, touched_us;
};

struct warm {
    struct warm_entry entries[WARM_LEN];
    uint64_t bytes_max, bytes;
};

void warm_init(struct warm *warm, uint64_t bytes_max); /* at most WARM_BYTES_MAX of it are used */
void warm_done(struct warm *warm);

/* NULL: it is not here.  Valid until the next call.  *ret_touch: its use is to be noted on the disk. */
const struct warm_entry *warm_find(struct warm *warm, const char key[ARTIFACT_KEY_BYTES], uint64_t now_us,
                                   bool *ret_touch);

/* Keeps a copy; one that is too large, or for which there is no descriptor, is left out. */
void warm_keep(struct warm *warm, const char key[ARTIFACT_KEY_BYTES], int bundle_fd, struct text output,
               bool output_cut, uint64_t now_us);
