/*
 * artifact_share: compiled programs that workers keep for each other in the store, so that what one has compiled no
 * other need compile.  Off unless EVALX_SHARE_BYTES says how much they may take there.
 *
 * What comes out of the store is checked by the sum it was sent with, and runs in a box like all else; whoever can
 * write to the store can submit programs anyway.  A store that is away or full only costs a compile.
 * Any thread.
 */
#pragma once
#include "queue/queue.h"
#include "worker/artifact_cache.h"

/* One larger than this is not shared: sending it would hold up the store's other callers. */
#define SHARED_ARTIFACT_BYTES_MAX (4u << 20)

struct artifact_share {
    struct store *store; /* one that shares (store_shares) */
    uint64_t bytes_max;
    _Atomic bool failing; /* so that it is said once */
};

/* True: *ret is the artifact, the caller ends it. */
bool artifact_share_get(struct artifact_share *share, const char key[ARTIFACT_KEY_BYTES], struct artifact *ret);
void artifact_share_put(struct artifact_share *share, const char key[ARTIFACT_KEY_BYTES],
                        const struct artifact *artifact);
