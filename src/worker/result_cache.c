/*
 * result_cache: see the header.  A hash table with a fixed number of chains, and a ring of all entries in the order of
 * their last use.
 */
#include "worker/result_cache.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/sync.h"

#define CHAINS 4096u      /* a power of two */
#define EACH_PART_MAX 16u /* one entry takes at most 1/16 of bytes_max */

struct entry {
    char key[HASH_HEX_BYTES];
    struct run_outcome outcome;
    size_t bytes;
    uint64_t until_us;
    struct entry *chain_next;
    struct entry *older, *newer; /* a ring through cache->ring */
};

struct result_cache {
    pthread_mutex_t lock; /* all below */
    uint64_t bytes_max, ttl_us, bytes;
    struct entry *chains[CHAINS];
    struct entry ring; /* .older is the most recently used entry, .newer the least recently used one */
};

struct result_cache *result_cache_open(uint64_t bytes_max, uint64_t ttl_s)
{
    struct result_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        abort(); /* a fixed size, at the start of the process */
    cache->bytes_max = bytes_max;
    cache->ttl_us = ttl_s * 1000000u;
    cache->ring.older = cache->ring.newer = &cache->ring;
    mutex_init(&cache->lock);
    return cache;
}

/* The key is a hash already, so any of its digits select a chain evenly. */
static struct entry **find(struct result_cache *cache, const char *key)
{
    char part[8] = "";
    memcpy(part, key, 6);
    struct entry **at = &cache->chains[strtoul(part, NULL, 16) & (CHAINS - 1)];

    while (*at != NULL && strcmp((*at)->key, key) != 0)
        at = &(*at)->chain_next;
    return at;
}

static void unlink_used(struct entry *entry)
{
    entry->older->newer = entry->newer;
    entry->newer->older = entry->older;
}

static void link_used(struct result_cache *cache, struct entry *entry)
{
    entry->newer = &cache->ring;
    entry->older = cache->ring.older;
    entry->older->newer = entry;
    cache->ring.older = entry;
}

static void drop(struct result_cache *cache, struct entry **at)
{
    struct entry *entry = *at;

    *at = entry->chain_next;
    unlink_used(entry);
    cache->bytes -= entry->bytes;
    run_outcome_done(&entry->outcome);
    free(entry);
}

void result_cache_close(struct result_cache *cache)
{
    if (cache == NULL)
        return;
    while (cache->ring.newer != &cache->ring)
        drop(cache, find(cache, cache->ring.newer->key));
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}

bool result_cache_may_keep(const struct run_outcome *outcome)
{
    const struct run_stats *stats = &outcome->stats;

    return !stats->cancelled && !stats->cpu_exceeded && !stats->wall_exceeded && !stats->output_exceeded &&
           stats->oom_kills == 0 && stats->processes_denied == 0 && stats->denied_syscall == 0 &&
           stats->signal != SIGKILL && /* sent from outside; the program cannot have meant it */
           outcome->archive_fd < 0 && !outcome->output_cut && !outcome->errors_cut;
}

static bool copy_outcome(const struct run_outcome *from, struct run_outcome *to)
{
    struct error ignored; /* without memory it counts as not cached */

    *to = (struct run_outcome){ .stats = from->stats, .archive_fd = -1 };
    buf_init(&to->output, from->output.len + 1);
    buf_init(&to->errors, from->errors.len + 1);
    buf_init(&to->explanation, from->explanation.len + 1);
    if ((from->output.len == 0 || buf_append_text(&to->output, buf_text(&from->output), &ignored) == 0) &&
        (from->errors.len == 0 || buf_append_text(&to->errors, buf_text(&from->errors), &ignored) == 0) &&
        (from->explanation.len == 0 || buf_append_text(&to->explanation, buf_text(&from->explanation), &ignored) == 0))
        return true;
    run_outcome_done(to);
    return false;
}

bool result_cache_get(struct result_cache *cache, const char key[HASH_HEX_BYTES], struct run_outcome *ret)
{
    lock_guard(&cache->lock);
    struct entry **at = find(cache, key);
    if (*at == NULL)
        return false;
    if (clock_mono_us() >= (*at)->until_us) {
        drop(cache, at);
        return false;
    }
    unlink_used(*at);
    link_used(cache, *at);
    return copy_outcome(&(*at)->outcome, ret);
}

void result_cache_put(struct result_cache *cache, const char key[HASH_HEX_BYTES], const struct run_outcome *outcome)
{
    size_t bytes = sizeof(struct entry) + outcome->output.len + outcome->errors.len;
    struct entry *entry = bytes <= cache->bytes_max / EACH_PART_MAX ? calloc(1, sizeof *entry) : NULL;

    if (entry == NULL)
        return;
    if (!copy_outcome(outcome, &entry->outcome)) {
        free(entry);
        return;
    }
    memcpy(entry->key, key, HASH_HEX_BYTES);
    entry->bytes = bytes;
    entry->until_us = clock_mono_us() + cache->ttl_us;

    lock_guard(&cache->lock);
    struct entry **at = find(cache, key);
    if (*at != NULL)
        drop(cache, at); /* two equal runs at the same time: the later outcome is valid for longer */
    while (cache->bytes + bytes > cache->bytes_max)
        drop(cache, find(cache, cache->ring.newer->key));
    at = find(cache, key);
    entry->chain_next = *at;
    *at = entry;
    link_used(cache, entry);
    cache->bytes += bytes;
}
