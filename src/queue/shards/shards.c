/*
 * redis_shards: several Redis as one store.
 *
 * Theory of operation
 *
 *   Every submission lives in one Redis, its shard, with all its keys; no step needs two of them.  Which one is
 *   written in its token (token_shard): whoever makes a token for a new submission (store_name) takes the shards in
 *   turn and passes over those that are away or full.  So a dead shard takes the submissions it holds and no new
 *   ones, and a list that grows at its end leaves every token where it was; nothing is computed from its length.
 *
 *   Calls with a token go to its shard.  Heartbeats and sweeps go to all; claims ask them in turn and sleep on all
 *   (shards/claim.c); depths are added up.  The cap on what waits is shared out: each shard takes its part.
 *   Order and priorities are each shard's own: taking turns keeps them even, but the oldest of one shard may be a
 *   little younger than the oldest of another.
 *
 *   A shard that failed is dead: nobody asks it, so that nobody waits for its time-outs, but a thread, the prober,
 *   that sweeps it until that works again.  Until then calls for its tokens fail at once with the reason.
 */
#include "queue/shards/shards.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"

#define PROBE_MS 100
#define FULL_MS 250

/* ---- who lives ---- */

struct redis_store *shard_living(struct shards *shards, size_t i, struct error *err)
{
    if (i >= shards->len || shards->at[i].redis == NULL) {
        (void)error_set(err, ERROR_STORE, 0, "shard %zu is not in the list of stores", i + 1);
        return NULL;
    }
    struct shard *shard = &shards->at[i];
    if (!atomic_load(&shard->is_dead))
        return shard->redis;
    (void)pthread_mutex_lock(&shards->lock);
    *err = shard->why;
    (void)pthread_mutex_unlock(&shards->lock);
    return NULL;
}

int shard_failed(struct shards *shards, size_t i, struct error *err)
{
    struct shard *shard = &shards->at[i];
    (void)error_within(err, "shard %zu (%s:%s)", i + 1, shard->redis->pool.address.host,
                       shard->redis->pool.address.port);
    if (err->kind != ERROR_STORE)
        return -1;
    (void)pthread_mutex_lock(&shards->lock);
    bool was_dead = atomic_load(&shard->is_dead);
    shard->why = *err;
    atomic_store(&shard->is_dead, true);
    (void)pthread_cond_signal(&shards->wakeup);
    (void)pthread_mutex_unlock(&shards->lock);
    if (!was_dead)
        log_warn("%s; its submissions wait until it is back", err->text);
    return -1;
}

/* Whether it may be asked again. */
static bool probe(struct shards *shards, size_t i)
{
    struct shard *shard = &shards->at[i];
    struct error err;
    if ((shard->is_checked || redis_check_server(shard->redis, &err) == 0) &&
        redis_reap_expired(&shard->redis->store, &err) == 0) {
        shard->is_checked = true;
        return true;
    }
    (void)error_within(&err, "shard %zu (%s:%s)", i + 1, shard->redis->pool.address.host,
                       shard->redis->pool.address.port);
    err.kind = ERROR_STORE; /* to a caller of now it is away, whatever is wrong with it */
    (void)pthread_mutex_lock(&shards->lock);
    shard->why = err;
    (void)pthread_mutex_unlock(&shards->lock);
    return false;
}

static bool any_dead(const struct shards *shards)
{
    for (size_t i = 0; i < shards->len; i++)
        if (shards->at[i].redis != NULL && atomic_load(&shards->at[i].is_dead))
            return true;
    return false;
}

static void probe_all(struct shards *shards)
{
    for (size_t i = 0; i < shards->len; i++) {
        struct shard *shard = &shards->at[i];
        if (shard->redis == NULL || !atomic_load(&shard->is_dead) || !probe(shards, i))
            continue;
        atomic_store(&shard->is_dead, false);
        log_info("shard %zu (%s:%s) is back", i + 1, shard->redis->pool.address.host, shard->redis->pool.address.port);
        shards_wake(&shards->store);
    }
}

static void *prober_loop(void *context)
{
    struct shards *shards = context;
    (void)pthread_mutex_lock(&shards->lock);
    while (!shards->is_closing) {
        if (!any_dead(shards)) {
            (void)pthread_cond_wait(&shards->wakeup, &shards->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&shards->lock);
        probe_all(shards);
        (void)pthread_mutex_lock(&shards->lock);
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += PROBE_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        while (!shards->is_closing && pthread_cond_timedwait(&shards->wakeup, &shards->lock, &until) == 0)
            continue;
    }
    (void)pthread_mutex_unlock(&shards->lock);
    return NULL;
}

/* ---- tokens ---- */

static void shards_name(struct store *base, char ret_token[TOKEN_BYTES])
{
    struct shards *shards = shards_of(base);
    unsigned turn = atomic_fetch_add(&shards->name_turn, 1);
    unsigned chosen = SHARDS_MAX, any = 0;
    uint64_t now = redis_now_ms();
    for (size_t k = 0; k < shards->len && chosen == SHARDS_MAX; k++) {
        unsigned i = (unsigned)((turn + k) % shards->len);
        const struct shard *shard = &shards->at[i];
        if (shard->redis == NULL)
            continue;
        any = i;
        if (!atomic_load(&shard->is_dead) && now >= atomic_load(&shard->full_until_ms))
            chosen = i;
    }
    token_new(ret_token);
    token_set_shard(ret_token, chosen < SHARDS_MAX ? chosen : any); /* none is well: it will say why */
}

static unsigned shards_shard(struct store *base, const char *token)
{
    (void)base;
    return token_shard(token);
}

static struct redis_store *shard_of_token(struct shards *shards, const char *token, size_t *ret_i, struct error *err)
{
    *ret_i = token_shard(token);
    return shard_living(shards, *ret_i, err);
}

/* A place that is not in the list has no submissions: an unknown token, not a store that is away. */
static bool is_nowhere(const struct shards *shards, const char *token)
{
    size_t i = token_shard(token);
    return i >= shards->len || shards->at[i].redis == NULL;
}

/* ---- calls with tokens ---- */

/* What of `news` lives in shard i. */
static int add_part(struct shards *shards, size_t i, const struct store_new news[], size_t len,
                    struct store_added ret_added[], struct error *err)
{
    struct redis_store *redis = shard_living(shards, i, err);
    if (redis == NULL)
        return -1;
    if (redis_add(&redis->store, news, len, ret_added, err) == 0)
        return 0;
    if (err->kind == ERROR_BUSY)
        atomic_store(&shards->at[i].full_until_ms, redis_now_ms() + FULL_MS);
    return shard_failed(shards, i, err);
}

/* A client's limits are shared out like the cap. */
static uint32_t share_of(const struct shards *shards, uint32_t limit)
{
    uint32_t living = 0;
    for (size_t i = 0; i < shards->len; i++)
        living += shards->at[i].redis != NULL;
    return limit == 0 ? 0 : (uint32_t)(((uint64_t)limit + living - 1) / living);
}

static int shards_add(struct store *base, const struct store_new news[], size_t len, struct store_added ret_added[],
                      struct error *err)
{
    struct shards *shards = shards_of(base);
    auto_free struct store_new *part = calloc(len > 0 ? len : 1, sizeof *part);
    auto_free struct store_added *added = calloc(len > 0 ? len : 1, sizeof *added);
    int result = 0;
    if (part == NULL || added == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "add");
    for (size_t i = 0; i < SHARDS_MAX; i++) {
        struct error own;
        size_t part_len = 0;
        for (size_t j = 0; j < len; j++)
            if (token_shard(news[j].token) == i) {
                struct store_client *client = &part[part_len].client;
                part[part_len++] = news[j];
                client->queued_max = share_of(shards, client->queued_max);
                client->running_max = share_of(shards, client->running_max);
            }
        if (part_len == 0)
            continue;
        if (add_part(shards, i, part, part_len, ret_added != NULL ? added : NULL, &own) < 0) {
            *err = own;
            result = -1; /* the others get theirs all the same */
            continue;
        }
        for (size_t j = 0, at = 0; j < len && ret_added != NULL; j++)
            if (token_shard(news[j].token) == i)
                ret_added[j] = added[at++];
    }
    return result;
}

static int shards_finish(struct store *base, const char *token, uint32_t attempt, enum submission_state state,
                         struct text result, bool *ret_kept, struct error *err)
{
    struct shards *shards = shards_of(base);
    size_t i;
    if (is_nowhere(shards, token)) {
        *ret_kept = false;
        return 0;
    }
    struct redis_store *redis = shard_of_token(shards, token, &i, err);
    if (redis == NULL)
        return -1;
    if (redis_finish(&redis->store, token, attempt, state, result, ret_kept, err) < 0)
        return shard_failed(shards, i, err);
    return 0;
}

static int shards_release(struct store *base, const char *token, uint32_t attempt, struct error *err)
{
    struct shards *shards = shards_of(base);
    size_t i;
    if (is_nowhere(shards, token))
        return 0;
    struct redis_store *redis = shard_of_token(shards, token, &i, err);
    if (redis == NULL)
        return -1;
    return redis_release(&redis->store, token, attempt, err) < 0 ? shard_failed(shards, i, err) : 0;
}

static int shards_cancel(struct store *base, const char *token, bool *ret_cancelled, struct error *err)
{
    struct shards *shards = shards_of(base);
    size_t i;
    if (is_nowhere(shards, token)) {
        *ret_cancelled = false;
        return 0;
    }
    struct redis_store *redis = shard_of_token(shards, token, &i, err);
    if (redis == NULL)
        return -1;
    return redis_cancel(&redis->store, token, ret_cancelled, err) < 0 ? shard_failed(shards, i, err) : 0;
}

/* What of `tokens` lives in shard i, into its places of ret_views. */
static int get_part(struct shards *shards, size_t i, const char *const tokens[], size_t len,
                    struct store_view ret_views[], struct error *err)
{
    auto_free const char **part = calloc(len, sizeof *part);
    auto_free size_t *from = calloc(len, sizeof *from);
    auto_free struct store_view *views = calloc(len, sizeof *views);
    if (part == NULL || from == NULL || views == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "get");
    size_t part_len = 0;
    for (size_t j = 0; j < len; j++)
        if (token_shard(tokens[j]) == i) {
            from[part_len] = j;
            part[part_len++] = tokens[j];
        }
    if (part_len == 0)
        return 0;
    struct redis_store *redis = shard_living(shards, i, err);
    if (redis == NULL)
        return -1;
    if (redis_get(&redis->store, part, part_len, views, err) < 0)
        return shard_failed(shards, i, err);
    for (size_t j = 0; j < part_len; j++)
        ret_views[from[j]] = views[j];
    return 0;
}

static int shards_get(struct store *base, const char *const tokens[], size_t len, struct store_view ret_views[],
                      struct error *err)
{
    struct shards *shards = shards_of(base);
    int result = 0;
    for (size_t j = 0; j < len; j++)
        ret_views[j] = (struct store_view){ 0 };
    for (size_t i = 0; i < shards->len && len > 0 && result == 0; i++)
        if (shards->at[i].redis != NULL)
            result = get_part(shards, i, tokens, len, ret_views, err);
    for (size_t j = 0; j < len && result < 0; j++)
        store_view_done(&ret_views[j]);
    return result;
}

/* ---- calls to all ---- */

static int heartbeat_part(struct shards *shards, size_t i, const struct store_worker *worker,
                          struct store_lease leases[], size_t len, struct error *err)
{
    auto_free struct store_lease *part = calloc(len > 0 ? len : 1, sizeof *part);
    struct redis_store *redis = shard_living(shards, i, err);
    if (redis == NULL)
        return -1;
    if (part == NULL)
        return error_set(err, ERROR_STORE, ENOMEM, "heartbeat");
    size_t part_len = 0;
    for (size_t j = 0; j < len; j++)
        if (token_shard(leases[j].token) == i)
            part[part_len++] = leases[j];
    if (redis_heartbeat(&redis->store, worker, part, part_len, err) < 0)
        return shard_failed(shards, i, err);
    for (size_t j = 0, at = 0; j < len; j++)
        if (token_shard(leases[j].token) == i)
            leases[j].state = part[at++].state;
    return 0;
}

/* Leases of a shard that is away are kept: nobody else is given them, and what has ended is told when it is back. */
static int shards_heartbeat(struct store *base, const struct store_worker *worker, struct store_lease leases[],
                            size_t len, struct error *err)
{
    struct shards *shards = shards_of(base);
    bool any = false;
    for (size_t i = 0; i < len; i++)
        leases[i].state = is_nowhere(shards, leases[i].token) ? LEASE_LOST : LEASE_KEPT;
    for (size_t i = 0; i < shards->len; i++)
        if (shards->at[i].redis != NULL)
            any |= heartbeat_part(shards, i, worker, leases, len, err) == 0;
    return any ? 0 : -1;
}

/* Every living worker beats in every living shard, so workers and slots are not added up. */
static void add_depth(struct queue_depth *ret, const struct queue_depth *one)
{
    for (size_t i = 0; i < one->queues_len; i++) {
        size_t at = 0;
        while (at < ret->queues_len && strcmp(ret->queues[at].queue, one->queues[i].queue) != 0)
            at++;
        if (at == QUEUE_DEPTH_QUEUES_MAX)
            continue;
        if (at == ret->queues_len)
            memcpy(ret->queues[ret->queues_len++].queue, one->queues[i].queue, sizeof ret->queues[at].queue);
        ret->queues[at].waiting += one->queues[i].waiting;
        ret->queues[at].running += one->queues[i].running;
        for (size_t priority = 0; priority < PRIORITY_COUNT_; priority++)
            ret->queues[at].waiting_by[priority] += one->queues[i].waiting_by[priority];
    }
    ret->waiting += one->waiting;
    ret->running += one->running;
    ret->dead += one->dead;
    if (one->oldest_wait_ms > ret->oldest_wait_ms)
        ret->oldest_wait_ms = one->oldest_wait_ms;
    if (one->workers > ret->workers)
        ret->workers = one->workers;
    if (one->slots > ret->slots)
        ret->slots = one->slots;
    if (one->busy_milli > ret->busy_milli)
        ret->busy_milli = one->busy_milli;
}

/* Of the shards that answer: those of one that is away cannot be worked on either. */
static int shards_depth(struct store *base, struct queue_depth *ret, struct error *err)
{
    struct shards *shards = shards_of(base);
    auto_free struct queue_depth *one = calloc(1, sizeof *one);
    bool any = false;
    if (one == NULL)
        return error_set(err, ERROR_STORE, ENOMEM, "depth");
    *ret = (struct queue_depth){ 0 };
    for (size_t i = 0; i < shards->len; i++) {
        struct redis_store *redis = shards->at[i].redis != NULL ? shard_living(shards, i, err) : NULL;
        if (redis == NULL)
            continue;
        if (redis_depth(&redis->store, one, err) < 0) {
            (void)shard_failed(shards, i, err);
            continue;
        }
        any = true;
        add_depth(ret, one);
    }
    return any ? 0 : -1;
}

static int shards_reap_expired(struct store *base, struct error *err)
{
    struct shards *shards = shards_of(base);
    bool any = false;
    for (size_t i = 0; i < shards->len; i++) {
        struct redis_store *redis = shards->at[i].redis != NULL ? shard_living(shards, i, err) : NULL;
        if (redis != NULL && redis_reap_expired(&redis->store, err) < 0)
            (void)shard_failed(shards, i, err);
        else
            any |= redis != NULL;
    }
    return any ? 0 : -1;
}

/* One that is away forgets it by itself, when its heartbeats are older than a lease. */
static int shards_forget_worker(struct store *base, const char *name, struct error *err)
{
    struct shards *shards = shards_of(base);
    bool any = false;
    for (size_t i = 0; i < shards->len; i++) {
        struct redis_store *redis = shards->at[i].redis != NULL ? shard_living(shards, i, err) : NULL;
        if (redis != NULL && redis_forget_worker(&redis->store, name, err) < 0)
            (void)shard_failed(shards, i, err);
        else
            any |= redis != NULL;
    }
    return any ? 0 : -1;
}

/* Each has its thread; the watcher is told from all of them. */
static int shards_watch(struct store *base, store_watcher *watcher, void *context, struct error *err)
{
    struct shards *shards = shards_of(base);
    for (size_t i = 0; i < shards->len; i++)
        if (shards->at[i].redis != NULL && redis_watch(&shards->at[i].redis->store, watcher, context, err) < 0)
            return error_within(err, "shard %zu", i + 1);
    return 0;
}

static void shards_watch_ends(struct store *base, store_end_watcher *watcher, void *context)
{
    struct shards *shards = shards_of(base);
    for (size_t i = 0; i < shards->len; i++)
        if (shards->at[i].redis != NULL)
            redis_watch_ends(&shards->at[i].redis->store, watcher, context);
}

/* ---- opening and closing ---- */

static void shards_close(struct store *base)
{
    struct shards *shards = shards_of(base);
    (void)pthread_mutex_lock(&shards->lock);
    shards->is_closing = true;
    (void)pthread_cond_signal(&shards->wakeup);
    (void)pthread_mutex_unlock(&shards->lock);
    if (shards->has_prober)
        (void)pthread_join(shards->prober, NULL);
    for (size_t i = 0; i < shards->len; i++)
        if (shards->at[i].redis != NULL)
            store_close(&shards->at[i].redis->store);
    (void)pthread_cond_destroy(&shards->wakeup);
    (void)pthread_mutex_destroy(&shards->lock);
    free(shards);
}

static const struct store_ops shards_ops = {
    .add = shards_add,
    .claim = shards_claim,
    .heartbeat = shards_heartbeat,
    .finish = shards_finish,
    .release = shards_release,
    .cancel = shards_cancel,
    .get = shards_get,
    .depth = shards_depth,
    .sweep = shards_reap_expired,
    .forget_worker = shards_forget_worker,
    .wake = shards_wake,
    .watch = shards_watch,
    .watch_ends = shards_watch_ends,
    .close = shards_close,
    .name = shards_name,
    .name_keyed = shards_name_keyed,
    .workers = shards_workers,
    .dead_list = shards_dead_list,
    .dead_get = shards_dead_get,
    .dead_retry = shards_dead_retry,
    .shared_get = shards_shared_get,
    .shared_put = shards_shared_put,
    .place = shards_shard,
};

/* Makes a shard of each entry of the list; connects to none. */
static int read_list(struct shards *shards, const struct config *config, const char *urls, size_t *ret_living,
                     struct error *err)
{
    struct config own = *config;
    size_t living = 0;
    for (const char *at = urls;; at++) {
        char url[CONFIG_STRING_BYTES];
        size_t len = strcspn(at, ",");
        if (shards->len == SHARDS_MAX)
            return error_set(err, ERROR_SETUP, 0, "store: more than %d addresses", SHARDS_MAX);
        (void)snprintf(url, sizeof url, "%.*s", (int)len, at);
        struct shard *shard = &shards->at[shards->len++];
        if (strcmp(url, "-") != 0) {
            living++;
            if (redis_store_new(&own, url, &shard->redis, err) < 0)
                return error_within(err, "shard %zu", shards->len);
        }
        at += len;
        if (*at == '\0')
            break;
    }
    *ret_living = living;
    return living > 0 ? 0 : error_set(err, ERROR_SETUP, 0, "store: a list without a Redis");
}

/* A shard that is away is left to the prober, unless all are; one that cannot keep the promises is refused. */
static int check_all(struct shards *shards, struct error *err)
{
    bool any = false;
    for (size_t i = 0; i < shards->len; i++) {
        struct shard *shard = &shards->at[i];
        if (shard->redis == NULL)
            continue;
        shard->is_checked = redis_check_server(shard->redis, err) == 0;
        any |= shard->is_checked;
        if (!shard->is_checked && shard_failed(shards, i, err) < 0 && err->kind != ERROR_STORE)
            return -1;
    }
    return any ? 0 : -1;
}

static int start(struct shards *shards, struct error *err)
{
    if (check_all(shards, err) < 0)
        return -1;
    int os = pthread_create(&shards->prober, NULL, prober_loop, shards);
    if (os != 0)
        return error_set(err, ERROR_SETUP, os, "start the thread that looks after the shards");
    shards->has_prober = true;
    return 0;
}

int redis_shards_open(const struct config *config, const char *urls, struct store **ret, struct error *err)
{
    struct shards *shards = calloc(1, sizeof *shards);
    pthread_condattr_t monotonic;
    size_t living = 0;
    if (shards == NULL)
        return error_set(err, ERROR_SETUP, ENOMEM, "open store");
    shards->store = (struct store){ &shards_ops, "redis shards" };
    (void)pthread_mutex_init(&shards->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&shards->wakeup, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (read_list(shards, config, urls, &living, err) < 0)
        goto undo;
    for (size_t i = 0; i < shards->len; i++)
        if (shards->at[i].redis != NULL)
            shards->at[i].redis->queue_max = (config->queue_max + living - 1) / living;
    if (start(shards, err) < 0)
        goto undo;
    *ret = &shards->store;
    return 0;

undo:
    shards_close(&shards->store);
    return -1;
}
