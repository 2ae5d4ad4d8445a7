/*
 * artifact_share: artifacts that workers share through the store, so that each program is compiled by one worker only.
 * Off unless the setting share_bytes (EVALX_SHARE_BYTES) gives the space they may take there.
 *
 * An artifact from the store is checked by the checksum it was sent with, and its program runs in a sandbox like any
 * other.  Someone who can write to the store can submit programs anyway.  A store that is unreachable or full only
 * costs a compile.  Any thread.
 */
#pragma once
#include "queue/shared_cache.h"
#include "worker/artifact_cache.h"

/* A larger artifact is not shared, because sending it would delay other users of the store. */
#define SHARED_ARTIFACT_BYTES_MAX (4u << 20)

struct artifact_share {
    struct store *store; /* shared_cache_exists is true */
    uint64_t bytes_max;
    _Atomic bool failing; /* so that a failure is logged once */
};

/* True: *ret is the artifact, which the caller frees with artifact_done. */
bool artifact_share_get(struct artifact_share *share, const char key[ARTIFACT_KEY_BYTES], struct artifact *ret);
/* Failures are only logged. */
void artifact_share_put(struct artifact_share *share, const char key[ARTIFACT_KEY_BYTES],
                        const struct artifact *artifact);
