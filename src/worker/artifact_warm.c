/* artifact_warm: see the header.  Few enough to be walked through. */
#include "worker/artifact_warm.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/scope.h"

static void entry_done(struct warm *warm, struct warm_entry *entry)
{
    if (entry->key[0] == '\0')
        return;
    warm->bytes -= entry->bytes;
    scope_close(&entry->bundle_fd);
    buf_done(&entry->output);
    *entry = (struct warm_entry){ .bundle_fd = -1 };
}

void warm_init(struct warm *warm, uint64_t bytes_max)
{
    *warm = (struct warm){ .bytes_max = bytes_max < WARM_BYTES_MAX ? bytes_max : WARM_BYTES_MAX };
    for (size_t i = 0; i < WARM_LEN; i++)
        warm->entries[i].bundle_fd = -1;
}

void warm_done(struct warm *warm)
{
    for (size_t i = 0; i < WARM_LEN; i++)
        entry_done(warm, &warm->entries[i]);
}

static struct warm_entry *find(struct warm *warm, const char *key)
{
    for (size_t i = 0; i < WARM_LEN; i++)
        if (strcmp(warm->entries[i].key, key) == 0)
            return &warm->entries[i];
    return NULL;
}

const struct warm_entry *warm_find(struct warm *warm, const char key[ARTIFACT_KEY_BYTES], uint64_t now_us,
                                   bool *ret_touch)
{
    struct warm_entry *entry = find(warm, key);

    *ret_touch = false;
    if (entry == NULL)
        return NULL;
    entry->used_us = now_us;
    if (now_us - entry->touched_us > WARM_TOUCH_US) {
        entry->touched_us = now_us;
        *ret_touch = true;
    }
    return entry;
}

/* A free entry, or that of the least recently used one. */
static struct warm_entry *oldest(struct warm *warm)
{
    struct warm_entry *entry = &warm->entries[0];

    for (size_t i = 0; i < WARM_LEN && entry->key[0] != '\0'; i++)
        if (warm->entries[i].key[0] == '\0' || warm->entries[i].used_us < entry->used_us)
            entry = &warm->entries[i];
    return entry;
}

static struct warm_entry *oldest_kept(struct warm *warm)
{
    struct warm_entry *entry = NULL;

    for (size_t i = 0; i < WARM_LEN; i++)
        if (warm->entries[i].key[0] != '\0' && (entry == NULL || warm->entries[i].used_us < entry->used_us))
            entry = &warm->entries[i];
    return entry;
}

void warm_keep(struct warm *warm, const char key[ARTIFACT_KEY_BYTES], int bundle_fd, struct text output,
               bool output_cut, uint64_t now_us)
{
    struct warm_entry entry = { .output_cut = output_cut, .used_us = now_us, .touched_us = now_us };
    struct stat status;
    struct error ignored;

    if (fstat(bundle_fd, &status) < 0 || (uint64_t)status.st_size + output.len > WARM_BYTES_EACH_MAX ||
        (uint64_t)status.st_size + output.len > warm->bytes_max)
        return;
    entry.bytes = (uint64_t)status.st_size + output.len;
    entry.bundle_fd = fcntl(bundle_fd, F_DUPFD_CLOEXEC, 3);
    if (entry.bundle_fd < 0)
        return;
    buf_init(&entry.output, ARTIFACT_OUTPUT_BYTES_MAX);
    if (output.len > 0 && buf_append_text(&entry.output, output, &ignored) < 0) {
        scope_close(&entry.bundle_fd);
        return;
    }
    memcpy(entry.key, key, sizeof entry.key);

    struct warm_entry *place = find(warm, key);
    if (place != NULL)
        entry_done(warm, place);
    while (warm->bytes + entry.bytes > warm->bytes_max)
        entry_done(warm, oldest_kept(warm));
    place = oldest(warm);
    entry_done(warm, place);
    *place = entry;
    warm->bytes += entry.bytes;
}
