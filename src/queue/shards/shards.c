/* shards: the state of each shard, calls that go to one shard and calls that go to all; see shards/shards.h. */
#include "queue/shards/shards.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/sync.h"

#define PROBE_US 100000
#define FULL_MS 250

/* ---- which shards are up ---- */

struct redis_store *shard_up(struct shards *shards, size_t i, struct error *err)
{
    if (i >= shards->len || shards->at[i].redis == NULL) {
        (void)error_set(err, ERROR_STORE, 0, "shard %zu is not in the list of stores", i + 1);
        return NULL;
    }
    if (!atomic_load(&shards->at[i].is_down))
        return shards->at[i].redis;
    lock_guard(&shards->lock);
    *err = shards->at[i].why;
    return NULL;
}

struct redis_store *shard_next_up(struct shards *shards, size_t *i, struct error *err)
{
    struct redis_store *redis = NULL;
    while (redis == NULL && *i < shards->len) {
        if (shards->at[*i].redis != NULL)
            redis = shard_up(shards, *i, err);
        (*i)++;
    }
    return redis;
}

static int name_shard(const struct shards *shards, size_t i, struct error *err)
{
    const struct redis_address *address = &shards->at[i].redis->pool.address;
    return error_within(err, "shard %zu (%s:%s)", i + 1, address->host, address->port);
}

int shard_failed(struct shards *shards, size_t i, struct error *err)
{
    struct shard *shard = &shards->at[i];
    (void)name_shard(shards, i, err);
    if (err->kind != ERROR_STORE)
        return -1;
    mutex_lock(&shards->lock);
    bool was_down = atomic_exchange(&shard->is_down, true);
    shard->why = *err;
    cond_signal(&shards->wakeup);
    mutex_unlock(&shards->lock);
    if (!was_down)
        log_warn("%s; the submissions of this shard wait until it is up again", err->text);
    return -1;
}

static bool probe(struct shards *shards, size_t i)
{
    struct shard *shard = &shards->at[i];
    struct error err;
    if ((shard->is_checked || redis_check_server(shard->redis, &err) == 0) &&
        redis_reap_expired(&shard->redis->store, &err) == 0) {
        shard->is_checked = true;
        return true;
    }
    (void)name_shard(shards, i, &err);
    err.kind = ERROR_STORE; /* for a caller the shard is down, whatever the cause */
    lock_guard(&shards->lock);
    shard->why = err;
    return false;
}

static void probe_all(struct shards *shards)
{
    for (size_t i = 0; i < shards->len; i++) {
        struct shard *shard = &shards->at[i];
        if (!atomic_load(&shard->is_down) || !probe(shards, i))
            continue;
        atomic_store(&shard->is_down, false);
        log_info("shard %zu (%s:%s) is up again", i + 1, shard->redis->pool.address.host,
                 shard->redis->pool.address.port);
        shards_wake(&shards->store);
    }
}

static bool any_down(const struct shards *shards)
{
    for (size_t i = 0; i < shards->len; i++)
        if (atomic_load(&shards->at[i].is_down))
            return true;
    return false;
}

static void *prober_main(void *context)
{
    struct shards *shards = context;
    while (true) {
        mutex_lock(&shards->lock);
        while (!shards->is_closing && !any_down(shards))
            cond_wait(&shards->wakeup, &shards->lock);
        bool is_closing = shards->is_closing;
        mutex_unlock(&shards->lock);
        if (is_closing)
            return NULL;
        probe_all(shards);
        lock_guard(&shards->lock);
        uint64_t until_us = sync_now_us() + PROBE_US;
        while (!shards->is_closing && cond_wait_until(&shards->wakeup, &shards->lock, until_us))
            continue;
    }
}

/* ---- calls that go to the shard of a token ---- */

/* With a key by rendezvous hashing, otherwise in turn; if no shard is usable, the add reports why. */
static void shards_new_token(struct store *base, const char *key, char ret_token[TOKEN_BYTES])
{
    struct shards *shards = shards_of(base);
    unsigned turn = key[0] == '\0' ? atomic_fetch_add(&shards->token_turn, 1) : 0;
    unsigned chosen = SHARDS_MAX, in_use = 0;
    char best[HASH_HEX_BYTES] = "";
    uint64_t now = redis_now_ms();
    for (size_t k = 0; k < shards->len; k++) {
        unsigned i = (unsigned)((turn + k) % shards->len);
        const struct shard *shard = &shards->at[i];
        if (shard->redis == NULL)
            continue;
        in_use = i;
        if (key[0] != '\0') {
            struct hash hash;
            char weight[HASH_HEX_BYTES];
            hash_start(&hash);
            hash_add(&hash, text_of(key));
            hash_add_u64(&hash, i);
            hash_finish(&hash, weight);
            if (strcmp(weight, best) > 0) {
                memcpy(best, weight, sizeof best);
                chosen = i;
            }
        } else if (!atomic_load(&shard->is_down) && now >= atomic_load(&shard->full_until_ms)) {
            chosen = i;
            break;
        }
    }
    token_new(ret_token);
    token_set_shard(ret_token, chosen < SHARDS_MAX ? chosen : in_use);
}

/* Returns 0 with *ret NULL if the number of the shard is not in use: then no submission has this token. */
static int shard_of_token(struct shards *shards, const char *token, struct redis_store **ret, struct error *err)
{
    size_t i = token_shard(token);
    *ret = NULL;
    if (i >= shards->len || shards->at[i].redis == NULL)
        return 0;
    *ret = shard_up(shards, i, err);
    return *ret != NULL ? 0 : -1;
}

/* The result of a call to the shard of a token. */
static int done_by_shard(struct shards *shards, const char *token, int result, struct error *err)
{
    return result < 0 ? shard_failed(shards, token_shard(token), err) : 0;
}

/* Each shard gets an equal part of a client's limit, as of queue_max. */
static uint32_t part_of(const struct shards *shards, uint32_t limit)
{
    uint32_t in_use = 0;
    for (size_t i = 0; i < shards->len; i++)
        in_use += shards->at[i].redis != NULL;
    return (uint32_t)(((uint64_t)limit + in_use - 1) / in_use);
}

static int add_to_shard(struct shards *shards, size_t i, const struct store_new news[], size_t len,
                        struct store_added ret_added[], struct error *err)
{
    struct redis_store *redis = shard_up(shards, i, err);
    if (redis == NULL)
        return -1;
    if (redis_add(&redis->store, news, len, ret_added, err) == 0)
        return 0;
    if (err->kind == ERROR_BUSY)
        atomic_store(&shards->at[i].full_until_ms, redis_now_ms() + FULL_MS);
    return shard_failed(shards, i, err);
}

static int shards_add(struct store *base, const struct store_new news[], size_t len, struct store_added ret_added[],
                      struct error *err)
{
    struct shards *shards = shards_of(base);
    auto_free struct store_new *part = calloc(len + 1, sizeof *part);
    auto_free struct store_added *added = calloc(len + 1, sizeof *added);
    size_t parts = 0, failed = 0;
    if (part == NULL || added == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "add");
    for (size_t i = 0; i <= SHARDS_MAX; i++) { /* SHARDS_MAX: no token of ours, which shard_up refuses */
        size_t part_len = 0;
        for (size_t j = 0; j < len; j++)
            if (token_shard(news[j].token) == i) {
                part[part_len] = news[j];
                struct store_client *client = &part[part_len++].client;
                client->queued_max = part_of(shards, client->queued_max);
                client->running_max = part_of(shards, client->running_max);
            }
        if (part_len == 0)
            continue;
        parts++;
        bool part_failed = add_to_shard(shards, i, part, part_len, ret_added != NULL ? added : NULL, err) < 0;
        failed += part_failed;
        for (size_t j = 0, at = 0; j < len && ret_added != NULL; j++)
            if (token_shard(news[j].token) == i)
                ret_added[j] = part_failed ? (struct store_added){ .outcome = STORE_FAILED, .err = *err } : added[at++];
    }
    return failed > 0 && (parts == 1 || ret_added == NULL) ? -1 : 0;
}

static int get_from_shard(struct shards *shards, size_t i, const char *const tokens[], size_t len, uint64_t result_max,
                          struct store_view ret_views[], struct error *err)
{
    struct redis_store *redis = shard_up(shards, i, err);
    if (redis == NULL)
        return -1;
    return redis_get(&redis->store, tokens, len, result_max, ret_views, err) < 0 ? shard_failed(shards, i, err) : 0;
}

static int shards_get(struct store *base, const char *const tokens[], size_t len, uint64_t result_max,
                      struct store_view ret_views[], struct error *err)
{
    struct shards *shards = shards_of(base);
    auto_free const char **part = calloc(len + 1, sizeof *part);
    auto_free struct store_view *views = calloc(len + 1, sizeof *views);
    if (part == NULL || views == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "get");
    for (size_t j = 0; j < len; j++)
        ret_views[j] = (struct store_view){ 0 };
    for (size_t i = 0; i < shards->len; i++) {
        size_t part_len = 0;
        for (size_t j = 0; j < len; j++)
            if (token_shard(tokens[j]) == i)
                part[part_len++] = tokens[j];
        if (part_len == 0 || shards->at[i].redis == NULL)
            continue;
        bool part_failed = get_from_shard(shards, i, part, part_len, result_max, views, err) < 0;
        if (part_failed && part_len == len)
            return -1;
        for (size_t j = 0, at = 0; j < len; j++)
            if (token_shard(tokens[j]) == i)
                ret_views[j] = part_failed ? (struct store_view){ .err = *err } : views[at++];
    }
    return 0;
}

static int shards_finish(struct store *base, const char *worker, const char *token, uint32_t attempt,
                         enum submission_state state, struct text result, bool *ret_kept, struct error *err)
{
    struct redis_store *redis;
    *ret_kept = false;
    if (shard_of_token(shards_of(base), token, &redis, err) < 0)
        return -1;
    if (redis == NULL)
        return 0;
    return done_by_shard(shards_of(base), token,
                         redis_finish(&redis->store, worker, token, attempt, state, result, ret_kept, err), err);
}

static int shards_release(struct store *base, const char *token, uint32_t attempt, struct error *err)
{
    struct redis_store *redis;
    if (shard_of_token(shards_of(base), token, &redis, err) < 0)
        return -1;
    if (redis == NULL)
        return 0;
    return done_by_shard(shards_of(base), token, redis_release(&redis->store, token, attempt, err), err);
}

static int shards_give_back(struct store *base, const char *token, uint32_t attempt, const char *reason,
                            struct error *err)
{
    struct redis_store *redis;
    if (shard_of_token(shards_of(base), token, &redis, err) < 0)
        return -1;
    if (redis == NULL)
        return 0;
    return done_by_shard(shards_of(base), token, redis_give_back(&redis->store, token, attempt, reason, err), err);
}

static int shards_cancel(struct store *base, const char *token, bool *ret_cancelled, struct error *err)
{
    struct redis_store *redis;
    *ret_cancelled = false;
    if (shard_of_token(shards_of(base), token, &redis, err) < 0)
        return -1;
    if (redis == NULL)
        return 0;
    return done_by_shard(shards_of(base), token, redis_cancel(&redis->store, token, ret_cancelled, err), err);
}

static int shards_dead_get(struct store *base, const char *token, struct store_dead *ret, bool *ret_found,
                           struct error *err)
{
    struct redis_store *redis;
    *ret_found = false;
    if (shard_of_token(shards_of(base), token, &redis, err) < 0)
        return -1;
    if (redis == NULL)
        return 0;
    return done_by_shard(shards_of(base), token, redis_dead_get(&redis->store, token, ret, ret_found, err), err);
}

static int shards_dead_retry(struct store *base, const char *token, bool *ret_retried, struct error *err)
{
    struct redis_store *redis;
    *ret_retried = false;
    if (shard_of_token(shards_of(base), token, &redis, err) < 0)
        return -1;
    if (redis == NULL)
        return 0;
    return done_by_shard(shards_of(base), token, redis_dead_retry(&redis->store, token, ret_retried, err), err);
}

/* ---- calls that go to all shards ---- */

/* Leases of a shard that is down are kept: it leases them to nobody else, and reports a lost one when it is up. */
static int shards_heartbeat(struct store *base, const struct store_worker *worker, struct store_lease leases[],
                            size_t len, struct error *err)
{
    struct shards *shards = shards_of(base);
    auto_free struct store_lease *part = calloc(len + 1, sizeof *part);
    struct redis_store *redis;
    bool any = false;
    if (part == NULL)
        return error_set(err, ERROR_STORE, ENOMEM, "heartbeat");
    for (size_t j = 0; j < len; j++) {
        size_t i = token_shard(leases[j].token);
        leases[j].state = i < shards->len && shards->at[i].redis != NULL ? LEASE_KEPT : LEASE_LOST;
    }
    for (size_t next = 0; (redis = shard_next_up(shards, &next, err)) != NULL;) {
        size_t i = next - 1, part_len = 0;
        for (size_t j = 0; j < len; j++)
            if (token_shard(leases[j].token) == i)
                part[part_len++] = leases[j];
        if (redis_heartbeat(&redis->store, worker, part, part_len, err) < 0) {
            (void)shard_failed(shards, i, err);
            continue;
        }
        any = true;
        for (size_t j = 0, at = 0; j < len; j++)
            if (token_shard(leases[j].token) == i)
                leases[j].state = part[at++].state;
    }
    return any ? 0 : -1;
}

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
    ret->queue_bytes += one->queue_bytes;
    ret->queue_bytes_max += one->queue_bytes_max;
    ret->results_bytes += one->results_bytes;
    ret->results_bytes_max += one->results_bytes_max;
    /* Every worker sends its heartbeats to every shard, so workers and their slots are not added up. */
    if (one->oldest_wait_ms > ret->oldest_wait_ms)
        ret->oldest_wait_ms = one->oldest_wait_ms;
    if (one->workers > ret->workers)
        ret->workers = one->workers;
    if (one->slots > ret->slots)
        ret->slots = one->slots;
    if (one->busy_milli > ret->busy_milli)
        ret->busy_milli = one->busy_milli;
}

/* Leaves out shards that are down: nobody can work on their submissions either. */
static int shards_depth(struct store *base, struct queue_depth *ret, struct error *err)
{
    struct shards *shards = shards_of(base);
    auto_free struct queue_depth *one = calloc(1, sizeof *one);
    struct redis_store *redis;
    bool any = false;
    if (one == NULL)
        return error_set(err, ERROR_STORE, ENOMEM, "depth");
    *ret = (struct queue_depth){ 0 };
    for (size_t next = 0; (redis = shard_next_up(shards, &next, err)) != NULL;) {
        if (redis_depth(&redis->store, one, err) < 0) {
            (void)shard_failed(shards, next - 1, err);
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
    struct redis_store *redis;
    bool any = false;
    for (size_t next = 0; (redis = shard_next_up(shards, &next, err)) != NULL;) {
        if (redis_reap_expired(&redis->store, err) < 0)
            (void)shard_failed(shards, next - 1, err);
        else
            any = true;
    }
    return any ? 0 : -1;
}

/* A shard that is down forgets the worker by itself, when its last heartbeat is older than a lease. */
static int shards_forget_worker(struct store *base, const char *name, struct error *err)
{
    struct shards *shards = shards_of(base);
    struct redis_store *redis;
    bool any = false;
    for (size_t next = 0; (redis = shard_next_up(shards, &next, err)) != NULL;) {
        if (redis_forget_worker(&redis->store, name, err) < 0)
            (void)shard_failed(shards, next - 1, err);
        else
            any = true;
    }
    return any ? 0 : -1;
}

/* Each shard has its own watch thread; all of them call the watcher. */
static int shards_watch(struct store *base, store_watcher *watcher, void *context, struct error *err)
{
    struct shards *shards = shards_of(base);
    for (size_t i = 0; i < shards->len; i++)
        if (shards->at[i].redis != NULL && redis_watch(&shards->at[i].redis->store, watcher, context, err) < 0)
            return error_within(err, "shard %zu", i + 1);
    return 0;
}

static void shards_watch_results(struct store *base, store_result_watcher *watcher, void *context)
{
    struct shards *shards = shards_of(base);
    for (size_t i = 0; i < shards->len; i++)
        if (shards->at[i].redis != NULL)
            redis_watch_results(&shards->at[i].redis->store, watcher, context);
}

/* ---- opening and closing ---- */

static void shards_close(struct store *base)
{
    struct shards *shards = shards_of(base);
    mutex_lock(&shards->lock);
    shards->is_closing = true;
    cond_signal(&shards->wakeup);
    mutex_unlock(&shards->lock);
    if (shards->has_prober)
        thread_join(shards->prober);
    for (size_t i = 0; i < shards->len; i++)
        if (shards->at[i].redis != NULL)
            store_close(&shards->at[i].redis->store);
    (void)pthread_cond_destroy(&shards->wakeup);
    (void)pthread_mutex_destroy(&shards->lock);
    free(shards);
}

static const struct store_ops shards_ops = {
    .new_token = shards_new_token,
    .add = shards_add,
    .claim = shards_claim,
    .heartbeat = shards_heartbeat,
    .finish = shards_finish,
    .release = shards_release,
    .give_back = shards_give_back,
    .cancel = shards_cancel,
    .get = shards_get,
    .depth = shards_depth,
    .reap_expired = shards_reap_expired,
    .forget_worker = shards_forget_worker,
    .workers = shards_workers,
    .dead_list = shards_dead_list,
    .dead_get = shards_dead_get,
    .dead_retry = shards_dead_retry,
    .wake = shards_wake,
    .watch = shards_watch,
    .watch_results = shards_watch_results,
    .close = shards_close,
};

/* Makes a shard of each address in the list, without connecting. */
static int parse_list(struct shards *shards, const struct config *config, const char *urls, struct error *err)
{
    size_t in_use = 0;
    for (const char *at = urls;; at++) {
        char url[CONFIG_STRING_BYTES];
        size_t len = strcspn(at, ",");
        if (shards->len == SHARDS_MAX)
            return error_set(err, ERROR_SETUP, 0, "store: more than %d addresses", SHARDS_MAX);
        (void)snprintf(url, sizeof url, "%.*s", (int)len, at);
        struct shard *shard = &shards->at[shards->len++];
        if (strcmp(url, "-") != 0) {
            in_use++;
            if (redis_store_new(config, url, &shard->redis, err) < 0)
                return error_within(err, "shard %zu", shards->len);
        }
        at += len;
        if (*at == '\0')
            break;
    }
    if (in_use == 0)
        return error_set(err, ERROR_SETUP, 0, "store: the list contains no Redis");
    for (size_t i = 0; i < shards->len; i++)
        if (shards->at[i].redis != NULL)
            redis_set_budgets(shards->at[i].redis, config, in_use);
    return 0;
}

/* Shards that do not answer are left to the probe thread, unless none answers.  Unsuitable servers are an error. */
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

int redis_shards_open(const struct config *config, const char *urls, struct store **ret, struct error *err)
{
    struct shards *shards = calloc(1, sizeof *shards);
    if (shards == NULL)
        return error_set(err, ERROR_SETUP, ENOMEM, "open store");
    shards->store = (struct store){ &shards_ops, "redis shards", &shards_shared_cache_ops };
    mutex_init(&shards->lock);
    cond_init(&shards->wakeup);
    if (parse_list(shards, config, urls, err) < 0 || check_all(shards, err) < 0 ||
        thread_start(&shards->prober, "shard-probe", prober_main, shards, err) < 0) {
        shards_close(&shards->store);
        return -1;
    }
    shards->has_prober = true;
    *ret = &shards->store;
    return 0;
}
