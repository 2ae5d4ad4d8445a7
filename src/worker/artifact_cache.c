/*
 * artifact_cache: one maker per missing artifact, files on the disk, the most recently used ones in memory.
 *
 * A key that is being looked up, made or written is a `flight` (as in "single flight").  Its states:
 *
 *     (none) --get, not in memory--> LOOKING --found on the disk--> removed, the getter has the artifact
 *                                       |
 *                                       +--not found--> MAKING --abandon--> removed, a waiter becomes the maker
 *                                                          |
 *                                                          +--put--> WRITING --file written--> removed
 *
 * A getter that finds LOOKING or MAKING waits.  One that finds WRITING copies the artifact from the flight.  So the
 * tests of a program need not wait for the disk, and no executor pays for the fsync.
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

#define WRITING_MAX 64      /* artifacts that wait to be written; more are not kept */
#define TEMPORARY_AGE_S 600 /* the writer of an older temporary file has died */

enum flight_state { FLIGHT_LOOKING, FLIGHT_MAKING, FLIGHT_WRITING };

struct flight {
    struct flight *next;
    char key[ARTIFACT_KEY_BYTES];
    enum flight_state state;
    struct artifact artifact; /* WRITING */
    bool is_shared;           /* came from the store, so it is not sent there again */
};

struct artifact_cache {
    int folder_fd;
    uint64_t bytes_max;
    struct artifact_share *share;  /* or NULL */
    pthread_mutex_t lock;          /* all below */
    pthread_cond_t flight_changed; /* getters wait for a flight to change its state or to be removed */
    pthread_cond_t write_queued;   /* the writer waits for a flight to write, or for closing */
    pthread_t writer;
    struct flight *flights, **flights_end; /* oldest first */
    size_t writing_len;
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

static struct flight **flight_find(struct artifact_cache *cache, const char *key)
{
    struct flight **at = &cache->flights;

    while (*at != NULL && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

static void flight_remove(struct artifact_cache *cache, struct flight **at)
{
    struct flight *flight = *at;

    if (cache->flights_end == &flight->next)
        cache->flights_end = at;
    *at = flight->next;
    if (flight->state == FLIGHT_WRITING) {
        artifact_done(&flight->artifact);
        cache->writing_len--;
    }
    free(flight);
    cond_broadcast(&cache->flight_changed);
}

static void flight_add(struct artifact_cache *cache, const char *key)
{
    struct flight *flight = calloc(1, sizeof *flight);

    if (flight == NULL)
        abort(); /* a small fixed size; the leases expire and other workers take over */
    memcpy(flight->key, key, ARTIFACT_KEY_BYTES);
    flight->state = FLIGHT_LOOKING;
    flight->artifact.archive_fd = -1;
    *cache->flights_end = flight;
    cache->flights_end = &flight->next;
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

/* Makes the artifact available to the waiting getters and queues it for the writer.  With the lock held. */
static void publish(struct artifact_cache *cache, struct flight **at, int archive_fd, struct text output,
                    bool output_cut, bool is_shared)
{
    struct flight *flight = *at;

    artifact_memory_keep(&cache->memory, flight->key, archive_fd, output, output_cut, clock_mono_us());
    if (cache->writing_len >= WRITING_MAX || !artifact_copy(&flight->artifact, archive_fd, output, output_cut)) {
        flight_remove(cache, at);
        return;
    }
    flight->state = FLIGHT_WRITING;
    flight->is_shared = is_shared;
    cache->writing_len++;
    cond_broadcast(&cache->flight_changed);
    cond_signal(&cache->write_queued);
}

/*
 * Looks in memory and among the flights.  False: there was neither, and a new flight in the state LOOKING was added.
 * *ret_touch: the use must be recorded on the disk.
 */
static bool get_or_begin(struct artifact_cache *cache, const char *key, struct artifact *ret, bool *ret_touch)
{
    *ret_touch = false;
    lock_guard(&cache->lock);
    for (;;) {
        if (get_from_memory(cache, key, ret, ret_touch))
            return true;
        const struct flight *flight = *flight_find(cache, key);
        if (flight == NULL)
            break;
        if (flight->state == FLIGHT_WRITING &&
            artifact_copy(ret, flight->artifact.archive_fd, buf_text(&flight->artifact.output),
                          flight->artifact.output_cut))
            return true;
        cond_wait(&cache->flight_changed, &cache->lock);
    }
    flight_add(cache, key);
    return false;
}

bool artifact_cache_get(struct artifact_cache *cache, const char key[ARTIFACT_KEY_BYTES], struct artifact *ret)
{
    bool touch;

    assert(strlen(key) == ARTIFACT_KEY_LEN);
    if (get_or_begin(cache, key, ret, &touch)) {
        if (touch)
            artifact_file_touch(cache->folder_fd, key);
        return true;
    }
    bool found = get_from_disk(cache, key, ret);
    bool is_shared = !found && cache->share != NULL && artifact_share_get(cache->share, key, ret);

    lock_guard(&cache->lock);
    struct flight **at = flight_find(cache, key);
    assert(*at != NULL && (*at)->state == FLIGHT_LOOKING);
    if (is_shared) {
        publish(cache, at, ret->archive_fd, buf_text(&ret->output), ret->output_cut, true);
    } else if (found) {
        artifact_memory_keep(&cache->memory, key, ret->archive_fd, buf_text(&ret->output), ret->output_cut,
                             clock_mono_us());
        flight_remove(cache, at);
    } else {
        (*at)->state = FLIGHT_MAKING;
    }
    return found || is_shared;
}

void artifact_cache_put(struct artifact_cache *cache, const char key[ARTIFACT_KEY_BYTES], int archive_fd,
                        struct text output, bool output_cut)
{
    lock_guard(&cache->lock);
    struct flight **at = flight_find(cache, key);
    assert(*at != NULL && (*at)->state == FLIGHT_MAKING);
    publish(cache, at, archive_fd, output, output_cut, false);
}

void artifact_cache_abandon(struct artifact_cache *cache, const char key[ARTIFACT_KEY_BYTES])
{
    lock_guard(&cache->lock);
    struct flight **at = flight_find(cache, key);
    assert(*at != NULL && (*at)->state == FLIGHT_MAKING);
    flight_remove(cache, at);
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

/* Without the lock: only the writer changes a flight that is WRITING. */
static void write_flight(struct artifact_cache *cache, const struct flight *flight)
{
    struct error err;
    uint64_t bytes = 0;

    if (cache->share != NULL && !flight->is_shared)
        artifact_share_put(cache->share, flight->key, &flight->artifact);
    if (artifact_file_store(cache->folder_fd, flight->key, flight->artifact.archive_fd,
                            buf_text(&flight->artifact.output), flight->artifact.output_cut, &bytes, &err) < 0) {
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

static struct flight *oldest_writing(struct artifact_cache *cache)
{
    struct flight *flight = cache->flights;

    while (flight != NULL && flight->state != FLIGHT_WRITING)
        flight = flight->next;
    return flight;
}

static void *artifact_writer_main(void *context)
{
    struct artifact_cache *cache = context;

    measure_and_evict(cache);
    lock_guard(&cache->lock);
    for (;;) {
        struct flight *flight = oldest_writing(cache);
        if (flight == NULL) {
            if (cache->closing)
                return NULL;
            cond_wait(&cache->write_queued, &cache->lock);
            continue;
        }
        mutex_unlock(&cache->lock);
        write_flight(cache, flight);
        mutex_lock(&cache->lock);
        flight_remove(cache, flight_find(cache, flight->key));
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
    cache->flights_end = &cache->flights;
    artifact_memory_init(&cache->memory, bytes_max);
    mutex_init(&cache->lock);
    cond_init(&cache->flight_changed);
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
    assert(cache->flights == NULL);
    artifact_memory_done(&cache->memory);
    (void)pthread_cond_destroy(&cache->write_queued);
    (void)pthread_cond_destroy(&cache->flight_changed);
    (void)pthread_mutex_destroy(&cache->lock);
    cleanup_close(&cache->folder_fd);
    free(cache);
}
