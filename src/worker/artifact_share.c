/* artifact_share: see the header. */
#include "worker/artifact_share.h"

#include <stdatomic.h>
#include <sys/stat.h>

#include "base/log.h"

/* Logs the first failure, and the first success after it (NULL). */
static void log_change(struct artifact_share *share, const struct error *err)
{
    bool failed = err != NULL;
    if (atomic_exchange(&share->failing, failed) == failed)
        return;
    if (failed)
        log_warn("shared artifacts: %s; compiling here until this is fixed", err->text);
    else
        log_info("shared artifacts: the store is usable again");
}

bool artifact_share_get(struct artifact_share *share, const char key[ARTIFACT_KEY_BYTES], struct artifact *ret)
{
    struct error err;
    auto_buf struct buf bytes = { .max = SHARED_ARTIFACT_BYTES_MAX + 1 };
    bool found = false;

    if (shared_cache_get(share->store, key, &bytes, &found, &err) < 0) {
        log_change(share, &err);
        return false;
    }
    log_change(share, NULL);
    if (!found)
        return false;
    *ret = (struct artifact){ .archive_fd = -1 };
    buf_init(&ret->output, ARTIFACT_OUTPUT_BYTES_MAX);
    int whole = artifact_file_unpack(buf_text(&bytes), &ret->archive_fd, &ret->output, &ret->output_cut, &err);
    if (whole < 0)
        log_change(share, &err);
    if (whole <= 0)
        artifact_done(ret);
    return whole > 0;
}

void artifact_share_put(struct artifact_share *share, const char key[ARTIFACT_KEY_BYTES],
                        const struct artifact *artifact)
{
    struct error err;
    struct stat status;
    auto_buf struct buf bytes = { .max = SHARED_ARTIFACT_BYTES_MAX + 1 };
    uint64_t overhead = ARTIFACT_OUTPUT_BYTES_MAX + 4096; /* the compiler's output and the header */

    if (fstat(artifact->archive_fd, &status) < 0 || (uint64_t)status.st_size + overhead > SHARED_ARTIFACT_BYTES_MAX)
        return;
    bool failed =
        artifact_file_pack(artifact->archive_fd, buf_text(&artifact->output), artifact->output_cut, &bytes, &err) < 0 ||
        shared_cache_put(share->store, key, buf_text(&bytes), share->bytes_max, &err) < 0;
    log_change(share, failed ? &err : NULL);
}
