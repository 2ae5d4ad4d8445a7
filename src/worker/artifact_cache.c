/*
 * artifact_cache: files on the disk, the most recently used ones in memory, and those on their way from memory to disk.
 *
 * A put returns at once: the artifact is in the list of those that are to be written until its file is complete, and a
 * get finds it there.  So the tests of a program need not wait for the disk, and no executor pays for the fsync.
 *
 * The thread artifact-writer writes the files.  When their total size exceeds the maximum, it lists the folder and
 * removes the least recently used files (by mtime) down to 90 %, so that it lists rarely.  Only the total is kept in
 * memory, so a file removed by somebody else does no harm.
 */
#include "worker/artifact_cache.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sync.h"
#include "worker/artifact_memory.h"
#include "worker/artifact_share.h"

#define WRITING_BYTES_MAX (64u << 20)
#define WRITING_MAX 64      /* artifacts that wait to be written; more are not kept */
#define TEMPORARY_AGE_S 600 /* the writer of an older temporary file has died */

struct unwritten {
    struct unwritten *next;
    char key[ARTIFACT_KEY_BYTES];
    struct artifact artifact;
    uint64_t bytes;
    bool is_shared; /* came from the store, so it is not sent there again */
};

struct artifact_cache {
    int folder_fd;
    uint64_t bytes_max;
    struct artifact_share *share; /* or NULL */
    pthread_mutex_t lock;         /* all below */
    pthread_cond_t write_queued;  /* the writer waits for an artifact to write, or for closing */
    pthread_t writer;
    struct unwritten *unwritten; /* oldest first */
    size_t unwritten_len;
    uint64_t unwritten_bytes;
    struct artifact_memory memory;
    bool closing;
    /* Used by the writer only. */
    uint64_t bytes; /* total size of the files, at most too large */
    bool failing;   /* writing fails; so that it is logged once */
};

void artifact_done(struct artifact *artifact)
{
    cleanup_close(&artifact->archive_fd);
    artifact->archive_fd = -1;
    buf_done(&artifact->output);
}

/* A copy with a duplicated descriptor.  False if descriptors or memory have run out. */
static bool artifact_copy(struct artifact *to, int archive_fd, struct text output, bool output_cut)
{
    struct error ignored;

    *to = (struct artifact){ .archive_fd = fcntl(archive_fd, F_DUPFD_CLOEXEC, 3), .output_cut = output_cut };
    buf_init(&to->output, ARTIFACT_OUTPUT_BYTES_MAX);
    if (to->archive_fd >= 0 && (output.len == 0 || buf_append_text(&to->output, output, &ignored) == 0))
        return true;
    artifact_done(to);
    return false;
}

static bool get_from_disk(struct artifact_cache *cache, const char *key, struct artifact *ret)
{
    struct error err;

    *ret = (struct artifact){ .archive_fd = -1 };
    buf_init(&ret->output, ARTIFACT_OUTPUT_BYTES_MAX);
    int found = artifact_file_load(cache->folder_fd, key, &ret->archive_fd, &ret->output, &ret->output_cut, &err);
    if (found < 0)
        log_warn("artifact cache: %s; compiling instead", err.text);
    if (found <= 0)
        artifact_done(ret);
    return found > 0;
}

/* With the lock held. */
static bool get_from_memory(struct artifact_cache *cache, const char *key, struct artifact *ret, bool *ret_touch)
{
    const struct artifact_memory_entry *entry = artifact_memory_find(&cache->memory, key, clock_mono_us(), ret_touch);

    return entry != NULL && artifact_copy(ret, entry->archive_fd, buf_text(&entry->output), entry->output_cut);
}

/* Keeps the artifact in memory and queues it for the writer.  With the lock held. */
static void keep(struct artifact_cache *cache, const char *key, int archive_fd, struct text output, bool output_cut,
                 bool is_shared)
{
    struct unwritten **end = &cache->unwritten;
    struct stat status;

    artifact_memory_keep(&cache->memory, key, archive_fd, output, output_cut, clock_mono_us());
    if (cache->unwritten_len >= WRITING_MAX || fstat(archive_fd, &status) < 0 ||
        cache->unwritten_bytes + (uint64_t)status.st_size > WRITING_BYTES_MAX)
        return;
    struct unwritten *added = calloc(1, sizeof *added);
    if (added == NULL)
        abort(); /* a small fixed size; the leases expire and other workers take over */
    if (!artifact_copy(&added->artifact, archive_fd, output, output_cut)) {
        free(added);
        return;
    }
    memcpy(added->key, key, ARTIFACT_KEY_BYTES);
    added->is_shared = is_shared;
    added->bytes = (uint64_t)status.st_size;
    while (*end != NULL)
        end = &(*end)->next;
    *end = added;
    cache->unwritten_len++;
    cache->unwritten_bytes += added->bytes;
    cond_signal(&cache->write_queued);
}

/* Looks in memory and among the artifacts that are still to be written.  *ret_touch: as of artifact_memory_find. */
static bool get_without_disk(struct artifact_cache *cache, const char *key, struct artifact *ret, bool *ret_touch)
{
    *ret_touch = false;
    lock_guard(&cache->lock);
    if (get_from_memory(cache, key, ret, ret_touch))
        return true;
    for (const struct unwritten *at = cache->unwritten; at != NULL; at = at->next)
        if (strcmp(at->key, key) == 0)
            return artifact_copy(ret, at->artifact.archive_fd, buf_text(&at->artifact.output), at->artifact.output_cut);
    return false;
}

bool artifact_cache_get(struct artifact_cache *cache, const char key[ARTIFACT_KEY_BYTES], struct artifact *ret)
{
    bool touch;

    assert(strlen(key) == ARTIFACT_KEY_LEN);
    if (get_without_disk(cache, key, ret, &touch)) {
        if (touch)
            artifact_file_touch(cache->folder_fd, key);
        return true;
    }
    if (get_from_disk(cache, key, ret)) {
        lock_guard(&cache->lock);
        artifact_memory_keep(&cache->memory, key, ret->archive_fd, buf_text(&ret->output), ret->output_cut,
                             clock_mono_us());
        return true;
    }
    if (cache->share == NULL || !artifact_share_get(cache->share, key, ret))
        return false;
    lock_guard(&cache->lock);
    keep(cache, key, ret->archive_fd, buf_text(&ret->output), ret->output_cut, true);
    return true;
}

void artifact_cache_put(struct artifact_cache *cache, const char key[ARTIFACT_KEY_BYTES], int archive_fd,
                        struct text output, bool output_cut)
{
    lock_guard(&cache->lock);
    keep(cache, key, archive_fd, output, output_cut, false);
}

/* ---- the thread artifact-writer ---- */

struct listed_file {
    char path[ARTIFACT_KEY_BYTES + 1];
    uint64_t bytes;
    struct timespec used;
};

struct listing {
    struct listed_file *files;
    size_t len, cap;
    uint64_t bytes;
};

static void list_file(int group_fd, const char *group, const char *name, struct listing *listing)
{
    struct stat status;

    if (name[0] == '.' && strncmp(name, ARTIFACT_TEMPORARY, sizeof ARTIFACT_TEMPORARY - 1) != 0)
        return;
    if (fstatat(group_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(status.st_mode))
        return;
    if (name[0] == '.') {
        if (time(NULL) - status.st_mtim.tv_sec > TEMPORARY_AGE_S)
            (void)unlinkat(group_fd, name, 0);
        return;
    }
    if (strlen(name) != ARTIFACT_KEY_LEN - 2)
        return; /* not ours */
    if (listing->len == listing->cap) {
        size_t cap = listing->cap == 0 ? 256 : listing->cap * 2;
        struct listed_file *files = reallocarray(listing->files, cap, sizeof *files);
        if (files == NULL)
            return; /* files beyond the list are evicted another time */
        listing->files = files;
        listing->cap = cap;
    }
    struct listed_file *file = &listing->files[listing->len++];
    (void)snprintf(file->path, sizeof file->path, "%.2s/%.62s", group, name);
    file->bytes = (uint64_t)status.st_blocks * 512;
    file->used = status.st_mtim;
    listing->bytes += file->bytes;
}

static void list_group(int folder_fd, const char *group, struct listing *listing)
{
    int fd = openat(folder_fd, group, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);

    if (entries == NULL) {
        cleanup_close(&fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;)
        list_file(dirfd(entries), group, entry->d_name, listing);
    (void)closedir(entries);
}

static void list_all(const struct artifact_cache *cache, struct listing *listing)
{
    for (unsigned group = 0; group < 256; group++) {
        char name[3];
        (void)snprintf(name, sizeof name, "%02x", group);
        list_group(cache->folder_fd, name, listing);
    }
}

static int older_first(const void *left, const void *right)
{
    const struct listed_file *a = left, *b = right;

    if (a->used.tv_sec != b->used.tv_sec)
        return a->used.tv_sec < b->used.tv_sec ? -1 : 1;
    return (a->used.tv_nsec > b->used.tv_nsec) - (a->used.tv_nsec < b->used.tv_nsec);
}

/* Measures the folder.  If it is larger than allowed, removes the least recently used files down to 90 %. */
static void measure_and_evict(struct artifact_cache *cache)
{
    struct listing listing = { 0 };

    list_all(cache, &listing);
    if (listing.bytes > cache->bytes_max) {
        uint64_t goal = cache->bytes_max / 10 * 9;
        qsort(listing.files, listing.len, sizeof *listing.files, older_first);
        for (size_t i = 0; i < listing.len && listing.bytes > goal; i++)
            if (unlinkat(cache->folder_fd, listing.files[i].path, 0) == 0 || errno == ENOENT)
                listing.bytes -= listing.files[i].bytes;
    }
    cache->bytes = listing.bytes;
    free(listing.files);
}

/* Without the lock: only the writer removes and frees what is to be written. */
static void write_file(struct artifact_cache *cache, const struct unwritten *from)
{
    struct error err;
    uint64_t bytes = 0;

    if (cache->share != NULL && !from->is_shared)
        artifact_share_put(cache->share, from->key, &from->artifact);
    if (artifact_file_store(cache->folder_fd, from->key, from->artifact.archive_fd, buf_text(&from->artifact.output),
                            from->artifact.output_cut, &bytes, &err) < 0) {
        if (!cache->failing)
            log_warn("artifact cache: %s; new artifacts are not kept until this is fixed", err.text);
        cache->failing = true;
        return;
    }
    if (cache->failing)
        log_info("artifact cache: artifacts are written again");
    cache->failing = false;
    cache->bytes += bytes;
    if (cache->bytes > cache->bytes_max)
        measure_and_evict(cache);
}

static void *artifact_writer_main(void *context)
{
    struct artifact_cache *cache = context;

    measure_and_evict(cache);
    lock_guard(&cache->lock);
    for (;;) {
        struct unwritten *oldest = cache->unwritten;
        if (oldest == NULL) {
            if (cache->closing)
                return NULL;
            cond_wait(&cache->write_queued, &cache->lock);
            continue;
        }
        mutex_unlock(&cache->lock);
        write_file(cache, oldest);
        mutex_lock(&cache->lock);
        cache->unwritten = oldest->next;
        cache->unwritten_len--;
        cache->unwritten_bytes -= oldest->bytes;
        artifact_done(&oldest->artifact);
        free(oldest);
    }
}

int artifact_cache_open(const char *folder, uint64_t bytes_max, struct artifact_share *share,
                        struct artifact_cache **ret, struct error *err)
{
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return error_set(err, ERROR_SETUP, errno, "create artifact folder %s", folder);
    auto_close int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "open artifact folder %s", folder);
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(err, ERROR_SETUP, errno, "stat artifact folder %s", folder);
    /* A user who can write here decides what other users' submissions run. */
    if (status.st_uid != geteuid() || (status.st_mode & 077) != 0)
        return error_set(err, ERROR_SETUP, 0,
                         "artifact folder %s must belong to user %u and be closed to others (mode 0700)", folder,
                         (unsigned)geteuid());

    struct artifact_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        abort();
    cache->folder_fd = take_fd(&fd);
    cache->bytes_max = bytes_max;
    cache->share = share;
    artifact_memory_init(&cache->memory, bytes_max);
    mutex_init(&cache->lock);
    cond_init(&cache->write_queued);
    if (thread_start(&cache->writer, "artifact-writer", artifact_writer_main, cache, err) < 0) {
        cleanup_close(&cache->folder_fd);
        free(cache);
        return -1;
    }
    *ret = cache;
    return 0;
}

void artifact_cache_close(struct artifact_cache *cache)
{
    if (cache == NULL)
        return;
    mutex_lock(&cache->lock);
    cache->closing = true;
    cond_signal(&cache->write_queued);
    mutex_unlock(&cache->lock);
    thread_join(cache->writer);
    assert(cache->unwritten == NULL);
    artifact_memory_done(&cache->memory);
    (void)pthread_cond_destroy(&cache->write_queued);
    (void)pthread_mutex_destroy(&cache->lock);
    cleanup_close(&cache->folder_fd);
    free(cache);
}
