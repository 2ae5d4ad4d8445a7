/*
 * artifact_cache: compiled programs (artifacts), kept on this machine's disk under the SHA-256 of all their inputs.
 *
 * Contract:
 *   - An artifact is returned whole or not at all (artifact_file.h).
 *   - The folder takes at most bytes_max; the least recently used artifacts are evicted first.
 *   - A disk that is full or fails only stops the caching.  This is logged once.
 *
 * The most recently used artifacts are also kept in memory (artifact_memory.h), so that a frequent program costs no
 * disk access.  Artifacts may also be shared with other workers through the store (artifact_share.h). Only this
 * process's user can access the folder, and no sandbox mounts it.  Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "worker/artifact_file.h"

struct artifact_cache;
struct artifact_share;

/*
 * Creates the folder (mode 0700) if it is missing and starts the thread artifact-writer.  `share` is borrowed; NULL
 * shares nothing.  ERROR_SETUP if the folder cannot be used, or belongs to or is accessible by another user.
 */
int artifact_cache_open(const char *folder, uint64_t bytes_max, struct artifact_share *share,
                        struct artifact_cache **ret, struct error *err);

/* Writes the artifacts that are still queued and frees the cache.  No other call may be running.  NULL is fine. */
void artifact_cache_close(struct artifact_cache *cache);

struct artifact {
    int archive_fd;    /* a sealed memfd, at position 0 */
    struct buf output; /* of the compiler (warnings) */
    bool output_cut;
};
void artifact_done(struct artifact *artifact);

/* True: *ret is the artifact, which the caller frees with artifact_done.  False: make it. */
bool artifact_cache_get(struct artifact_cache *cache, const char key[ARTIFACT_KEY_BYTES], struct artifact *ret);

/* Copies its arguments and returns at once.  The thread artifact-writer writes the file later. */
void artifact_cache_put(struct artifact_cache *cache, const char key[ARTIFACT_KEY_BYTES], int archive_fd,
                        struct text output, bool output_cut);
