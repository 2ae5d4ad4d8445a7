/*
 * artifact_cache: single flight in memory, files on the disk, the latest of them within reach (artifact_warm.h).
 *
 * A key that is being made or waits to be written is a `flight`.  Its life:
 *
 *     (none) --get misses memory--> LOOKING --on the disk--> gone, the getter has it
 *                                      |
 *                                      +--not on the disk--> MAKING --abandon--> gone, a waiter becomes the maker
 *                                                              |
 *                                                              +--put--> WRITING --keeper has written it--> gone
 *
 * A getter that finds LOOKING or MAKING waits; one that finds WRITING takes the artifact from memory.  So a compile's
 * tests do not wait for the disk, and the fsync is paid by nobody.
 *
 * The keeper thread writes, and evicts when the sum of sizes passes the maximum: it lists the folder, and removes by
 * age (mtime is the last use) down to 90 %, so that it lists rarely.  Nothing but that sum is kept in memory: a
 * file that somebody else removed does no harm.
 */
#include "worker/artifact_cache.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/artifact_memory.h"
#include "worker/artifact_share.h"

#define WRITING_MAX 64      /* artifacts in memory that wait for the disk; beyond, they are not kept */
#define TEMPORARY_AGE_S 600 /* an older temporary file has no writer any more */

enum flight_state { FLIGHT_LOOKING, FLIGHT_MAKING, FLIGHT_WRITING };

struct flight {
    struct flight *next;
    char key[ARTIFACT_KEY_BYTES];
    enum flight_state state;
    struct artifact artifact; /* WRITING */
    bool is_shared;           /* it came from the store */
};

struct artifact_cache {
    int folder_fd;
    uint64_t bytes_max;
    struct artifact_share *share; /* or NULL */
    pthread_mutex_t lock;         /* all below */
    pthread_cond_t landed;        /* a flight changed or went */
    pthread_cond_t work;          /* for the keeper */
    pthread_t heartbeat;
    struct flight *flights, **flights_end; /* oldest first */
    size_t writing_len;
    struct memory memory;
    bool ending;
    /* The keeper's own. */
    uint64_t bytes;
    bool failing; /* the disk; so that it is said once */
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
    (void)pthread_cond_broadcast(&cache->landed);
}

static struct flight *flight_add(struct artifact_cache *cache, const char *key)
{
    struct flight *flight = calloc(1, sizeof *flight);

    if (flight == NULL)
        abort(); /* a small fixed size: the process is lost, its leases run out */
    memcpy(flight->key, key, ARTIFACT_KEY_BYTES);
    flight->state = FLIGHT_LOOKING;
    flight->artifact.archive_fd = -1;
    *cache->flights_end = flight;
    cache->flights_end = &flight->next;
    return flight;
}

/* A copy with a descriptor of its own; false where descriptors or memory have run out. */
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

static bool look_on_disk(struct artifact_cache *cache, const char *key, struct artifact *ret)
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

/* It is there now, for all who wait, and for the keeper to write.  With the lock held. */
static void land(struct artifact_cache *cache, struct flight **at, int archive_fd, struct text output, bool output_cut,
                 bool is_shared)
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
    (void)pthread_cond_broadcast(&cache->landed);
    (void)pthread_cond_signal(&cache->work);
}

bool artifact_cache_get(struct artifact_cache *cache, const char key[ARTIFACT_KEY_BYTES], struct artifact *ret)
{
    bool touch;

    assert(strlen(key) == ARTIFACT_KEY_LEN);
    (void)pthread_mutex_lock(&cache->lock);
    for (;;) {
        if (get_from_memory(cache, key, ret, &touch)) {
            (void)pthread_mutex_unlock(&cache->lock);
            if (touch)
                artifact_file_touch(cache->folder_fd, key);
            return true;
        }
        struct flight *flight = *flight_find(cache, key);
        if (flight == NULL)
            break;
        if (flight->state == FLIGHT_WRITING &&
            artifact_copy(ret, flight->artifact.archive_fd, buf_text(&flight->artifact.output),
                          flight->artifact.output_cut)) {
            (void)pthread_mutex_unlock(&cache->lock);
            return true;
        }
        (void)pthread_cond_wait(&cache->landed, &cache->lock);
    }
    (void)flight_add(cache, key);
    (void)pthread_mutex_unlock(&cache->lock);

    bool found = look_on_disk(cache, key, ret);
    bool is_shared = !found && cache->share != NULL && artifact_share_get(cache->share, key, ret);

    (void)pthread_mutex_lock(&cache->lock);
    struct flight **at = flight_find(cache, key);
    assert(*at != NULL && (*at)->state == FLIGHT_LOOKING);
    if (is_shared) {
        land(cache, at, ret->archive_fd, buf_text(&ret->output), ret->output_cut, true);
    } else if (found) {
        artifact_memory_keep(&cache->memory, key, ret->archive_fd, buf_text(&ret->output), ret->output_cut,
                             clock_mono_us());
        flight_remove(cache, at);
    } else {
        (*at)->state = FLIGHT_MAKING;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return found || is_shared;
}

void artifact_cache_put(struct artifact_cache *cache, const char key[ARTIFACT_KEY_BYTES], int archive_fd,
                        struct text output, bool output_cut)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct flight **at = flight_find(cache, key);
    assert(*at != NULL && (*at)->state == FLIGHT_MAKING);
    land(cache, at, archive_fd, output, output_cut, false);
    (void)pthread_mutex_unlock(&cache->lock);
}

void artifact_cache_abandon(struct artifact_cache *cache, const char key[ARTIFACT_KEY_BYTES])
{
    (void)pthread_mutex_lock(&cache->lock);
    struct flight **at = flight_find(cache, key);
    assert(*at != NULL && (*at)->state == FLIGHT_MAKING);
    flight_remove(cache, at);
    (void)pthread_mutex_unlock(&cache->lock);
}

/* ---- the keeper ---- */

struct kept_file {
    char path[ARTIFACT_KEY_BYTES + 1];
    uint64_t bytes;
    struct timespec used;
};

struct listing {
    struct kept_file *files;
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
        struct kept_file *files = reallocarray(listing->files, cap, sizeof *files);
        if (files == NULL)
            return; /* the rest is evicted another time */
        listing->files = files;
        listing->cap = cap;
    }
    struct kept_file *file = &listing->files[listing->len++];
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
    const struct kept_file *a = left, *b = right;

    if (a->used.tv_sec != b->used.tv_sec)
        return a->used.tv_sec < b->used.tv_sec ? -1 : 1;
    return (a->used.tv_nsec > b->used.tv_nsec) - (a->used.tv_nsec < b->used.tv_nsec);
}

/* Counts what is there; if that is more than allowed, removes the oldest down to 90 %. */
static void count_and_evict(struct artifact_cache *cache)
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

/* Outside the lock: a WRITING flight is only ever changed by the keeper. */
static void write_flight(struct artifact_cache *cache, const struct flight *flight)
{
    struct error err;
    uint64_t bytes = 0;

    if (cache->share != NULL && !flight->is_shared)
        artifact_share_put(cache->share, flight->key, &flight->artifact);
    if (artifact_file_store(cache->folder_fd, flight->key, flight->artifact.archive_fd,
                            buf_text(&flight->artifact.output), flight->artifact.output_cut, &bytes, &err) < 0) {
        if (!cache->failing)
            log_warn("artifact cache: %s; programs are compiled anew until that is better", err.text);
        cache->failing = true;
        return;
    }
    if (cache->failing)
        log_info("artifact cache: the disk takes artifacts again");
    cache->failing = false;
    cache->bytes += bytes;
    if (cache->bytes > cache->bytes_max)
        count_and_evict(cache);
}

static struct flight *oldest_writing(struct artifact_cache *cache)
{
    struct flight *flight = cache->flights;

    while (flight != NULL && flight->state != FLIGHT_WRITING)
        flight = flight->next;
    return flight;
}

static void *keep(void *context)
{
    struct artifact_cache *cache = context;

    (void)pthread_setname_np(pthread_self(), "artifacts");
    count_and_evict(cache);
    (void)pthread_mutex_lock(&cache->lock);
    for (;;) {
        struct flight *flight = oldest_writing(cache);
        if (flight == NULL) {
            if (cache->ending)
                break;
            (void)pthread_cond_wait(&cache->work, &cache->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&cache->lock);
        write_flight(cache, flight);
        (void)pthread_mutex_lock(&cache->lock);
        flight_remove(cache, flight_find(cache, flight->key));
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return NULL;
}

int artifact_cache_open(const char *folder, uint64_t bytes_max, struct artifact_share *share,
                        struct artifact_cache **ret, struct error *err)
{
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return error_set(err, ERROR_SETUP, errno, "make artifact folder %s", folder);
    auto_close int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "open artifact folder %s", folder);
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(err, ERROR_SETUP, errno, "look at artifact folder %s", folder);
    /* Whoever can write here chooses what others' submissions run. */
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
    (void)pthread_mutex_init(&cache->lock, NULL);
    (void)pthread_cond_init(&cache->landed, NULL);
    (void)pthread_cond_init(&cache->work, NULL);
    int os = pthread_create(&cache->heartbeat, NULL, keep, cache);
    if (os != 0) {
        cleanup_close(&cache->folder_fd);
        free(cache);
        return error_set(err, ERROR_SETUP, os, "start the artifact cache's thread");
    }
    *ret = cache;
    return 0;
}

void artifact_cache_close(struct artifact_cache *cache)
{
    if (cache == NULL)
        return;
    (void)pthread_mutex_lock(&cache->lock);
    cache->ending = true;
    (void)pthread_cond_signal(&cache->work);
    (void)pthread_mutex_unlock(&cache->lock);
    (void)pthread_join(cache->heartbeat, NULL);
    assert(cache->flights == NULL);
    artifact_memory_done(&cache->memory);
    (void)pthread_cond_destroy(&cache->work);
    (void)pthread_cond_destroy(&cache->landed);
    (void)pthread_mutex_destroy(&cache->lock);
    cleanup_close(&cache->folder_fd);
    free(cache);
}
