/*
 * artifact_cache: what compilers made, kept on this machine's disk under the SHA-256 of all that went into it.
 *
 * Promises: an artifact is given back whole or not at all (see artifact_file.h); at most bytes_max on the disk, the
 * least recently used leave first; of several threads that want the same missing artifact one makes it and the others
 * wait for that one; a disk that is full or gone stops the keeping, never the running (said once in the log).
 * What was used last is also kept in memory (32 MiB at most), so that a hot program costs no disk.
 * What is not here may be in the store, where other workers left it (artifact_share.h), and what is made goes there
 * too.
 * Only this process's user can read or write the folder; no program ever sees it.
 * Any thread.
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
 * Makes the folder (0700) if it is missing, starts the thread that writes and evicts.  `share` is borrowed; NULL:
 * nothing is shared.
 */
int artifact_cache_open(const char *folder, uint64_t bytes_max, struct artifact_share *share,
                        struct artifact_cache **ret, struct error *err);

/* Writes what still waits to be written, ends.  No other call may be running.  NULL is fine. */
void artifact_cache_close(struct artifact_cache *cache);

struct artifact {
    int archive_fd;    /* a sealed memfd, position 0; the holder closes it */
    struct buf output; /* what the compiler printed (warnings) */
    bool output_cut;
};
void artifact_done(struct artifact *artifact);

/*
 * true: *ret is the artifact.  false: the caller makes it now, and must call artifact_cache_put or
 * artifact_cache_abandon with the same key, soon: others wait for it.
 */
bool artifact_cache_get(struct artifact_cache *cache, const char key[ARTIFACT_KEY_BYTES], struct artifact *ret);

/* Returns at once; all is copied.  The disk is written later, by the cache's own thread. */
void artifact_cache_put(struct artifact_cache *cache, const char key[ARTIFACT_KEY_BYTES], int archive_fd,
                        struct text output, bool output_cut);
void artifact_cache_abandon(struct artifact_cache *cache, const char key[ARTIFACT_KEY_BYTES]);
