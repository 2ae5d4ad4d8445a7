/* artifact_memory: see the header.  So few entries that each look-up walks through all of them. */
#include "worker/artifact_memory.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

static void entry_done(struct artifact_memory *memory, struct artifact_memory_entry *entry)
{
    if (entry->key[0] == '\0')
        return;
    memory->bytes -= entry->bytes;
    cleanup_close(&entry->archive_fd);
    buf_done(&entry->output);
    *entry = (struct artifact_memory_entry){ .archive_fd = -1 };
}

void artifact_memory_init(struct artifact_memory *memory, uint64_t bytes_max)
{
    *memory = (struct artifact_memory){ 0 };
    memory->bytes_max = bytes_max < ARTIFACT_MEMORY_BYTES_MAX ? bytes_max : ARTIFACT_MEMORY_BYTES_MAX;
    for (size_t i = 0; i < ARTIFACT_MEMORY_LEN; i++)
        memory->entries[i].archive_fd = -1;
}

void artifact_memory_done(struct artifact_memory *memory)
{
    for (size_t i = 0; i < ARTIFACT_MEMORY_LEN; i++)
        entry_done(memory, &memory->entries[i]);
}

static struct artifact_memory_entry *find(struct artifact_memory *memory, const char *key)
{
    for (size_t i = 0; i < ARTIFACT_MEMORY_LEN; i++)
        if (strcmp(memory->entries[i].key, key) == 0)
            return &memory->entries[i];
    return NULL;
}

const struct artifact_memory_entry *artifact_memory_find(struct artifact_memory *memory,
                                                         const char key[ARTIFACT_KEY_BYTES], uint64_t now_us,
                                                         bool *ret_touch)
{
    struct artifact_memory_entry *entry = find(memory, key);

    *ret_touch = false;
    if (entry == NULL)
        return NULL;
    entry->used_us = now_us;
    if (now_us - entry->touched_us > ARTIFACT_MEMORY_TOUCH_US) {
        entry->touched_us = now_us;
        *ret_touch = true;
    }
    return entry;
}

/* A free entry, or else the least recently used one. */
static struct artifact_memory_entry *free_or_oldest(struct artifact_memory *memory)
{
    struct artifact_memory_entry *entry = &memory->entries[0];

    for (size_t i = 0; i < ARTIFACT_MEMORY_LEN && entry->key[0] != '\0'; i++)
        if (memory->entries[i].key[0] == '\0' || memory->entries[i].used_us < entry->used_us)
            entry = &memory->entries[i];
    return entry;
}

static struct artifact_memory_entry *oldest(struct artifact_memory *memory)
{
    struct artifact_memory_entry *entry = NULL;

    for (size_t i = 0; i < ARTIFACT_MEMORY_LEN; i++)
        if (memory->entries[i].key[0] != '\0' && (entry == NULL || memory->entries[i].used_us < entry->used_us))
            entry = &memory->entries[i];
    return entry;
}

void artifact_memory_keep(struct artifact_memory *memory, const char key[ARTIFACT_KEY_BYTES], int archive_fd,
                          struct text output, bool output_cut, uint64_t now_us)
{
    struct artifact_memory_entry entry = { .output_cut = output_cut, .used_us = now_us, .touched_us = now_us };
    struct stat status;
    struct error ignored;

    if (fstat(archive_fd, &status) < 0 || (uint64_t)status.st_size + output.len > ARTIFACT_MEMORY_BYTES_EACH_MAX ||
        (uint64_t)status.st_size + output.len > memory->bytes_max)
        return;
    entry.bytes = (uint64_t)status.st_size + output.len;
    entry.archive_fd = fcntl(archive_fd, F_DUPFD_CLOEXEC, 3);
    if (entry.archive_fd < 0)
        return;
    buf_init(&entry.output, ARTIFACT_OUTPUT_BYTES_MAX);
    if (output.len > 0 && buf_append_text(&entry.output, output, &ignored) < 0) {
        cleanup_close(&entry.archive_fd);
        return;
    }
    memcpy(entry.key, key, sizeof entry.key);

    struct artifact_memory_entry *to = find(memory, key);
    if (to != NULL)
        entry_done(memory, to);
    while (memory->bytes + entry.bytes > memory->bytes_max)
        entry_done(memory, oldest(memory));
    to = free_or_oldest(memory);
    entry_done(memory, to);
    *to = entry;
    memory->bytes += entry.bytes;
}
