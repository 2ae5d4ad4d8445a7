/* redis/store: opening and closing; see redis/redis_store.h for how the store works. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sync.h"
#include "queue/redis/redis_store.h"
#include "queue/shards/token_shard.h"

#define CHECK_MS 10000u

/* The value of "name:value" in the answer to INFO; empty if it is missing. */
static struct text info_value(struct text info, const char *name)
{
    size_t name_len = strlen(name);
    for (size_t at = 0; at < info.len;) {
        const char *line = info.at + at;
        const char *end = memchr(line, '\n', info.len - at);
        size_t len = end != NULL ? (size_t)(end - line) : info.len - at;
        at += len + 1;
        if (len > name_len && memcmp(line, name, name_len) == 0 && line[name_len] == ':') {
            struct text value = { line + name_len + 1, len - name_len - 1 };
            while (value.len > 0 && value.at[value.len - 1] == '\r')
                value.len--;
            return value;
        }
    }
    return (struct text){ 0 };
}

static int check_info(struct text info, struct error *err)
{
    struct text version = info_value(info, "redis_version"); /* Valkey reports 7.2.4 here */
    struct text policy = info_value(info, "maxmemory_policy");
    uint64_t major = 0;
    const char *dot = version.len > 0 ? memchr(version.at, '.', version.len) : NULL;
    struct text first = { version.at, dot != NULL ? (size_t)(dot - version.at) : 0 };
    if (text_parse_u64(first, &major) == 0 && major < 7)
        return error_set(err, ERROR_SETUP, 0, "open store: Redis %.*s is too old; 7.0 or newer is needed",
                         TEXT_ARG(version));
    if (policy.len > 0 && !text_equal(policy, TEXT("noeviction")))
        return error_set(err, ERROR_SETUP, 0,
                         "open store: Redis may evict submissions, results or keys (maxmemory-policy %.*s); "
                         "set it to noeviction",
                         TEXT_ARG(policy));
    return 0;
}

int redis_check_server(struct redis_store *store, struct error *err)
{
    struct redis_connection *connection;
    auto_reply redisReply *reply = NULL;
    if (redis_pool_take(&store->pool, &connection, err) < 0)
        return -1;
    uint64_t deadline_ms = redis_now_ms() + REDIS_CALL_MS;
    int got = redis_connection_send(connection, 1, (const char *const[]){ "INFO" }, NULL, deadline_ms, err);
    if (got == 0)
        got = redis_connection_receive(connection, deadline_ms, -1, &reply, err);
    if (got != 1) {
        redis_pool_drop(&store->pool, connection);
        return got < 0 ? -1 : error_set(err, ERROR_STORE, ETIMEDOUT, "open store: Redis does not answer");
    }
    redis_pool_give(&store->pool, connection);
    if (reply->type != REDIS_REPLY_STRING)
        return 0;
    return check_info((struct text){ reply->str, (size_t)reply->len }, err);
}

void redis_check_again(struct redis_store *store)
{
    struct error err = { 0 };
    uint64_t now = redis_now_ms();
    mutex_lock(&store->unsafe_lock);
    bool is_due = now - store->checked_ms >= CHECK_MS;
    if (is_due)
        store->checked_ms = now;
    mutex_unlock(&store->unsafe_lock);
    if (!is_due || (redis_check_server(store, &err) < 0 && err.kind != ERROR_SETUP))
        return; /* one that does not answer is reported by the calls */
    lock_guard(&store->unsafe_lock);
    if (err.kind == ERROR_SETUP && store->unsafe.kind == ERROR_NONE)
        log_error("%s; nothing is accepted until then", err.text);
    if (err.kind == ERROR_NONE && store->unsafe.kind != ERROR_NONE)
        log_info("the settings of Redis are safe again");
    store->unsafe = err;
}

int redis_check_passed(struct redis_store *store, struct error *err)
{
    lock_guard(&store->unsafe_lock);
    if (store->unsafe.kind == ERROR_NONE)
        return 0;
    *err = store->unsafe;
    err->kind = ERROR_STORE;
    return -1;
}

static void redis_close(struct store *base)
{
    struct redis_store *store = redis_of(base);
    redis_watch_stop(store);
    redis_claim_conns_done(store);
    redis_pool_done(&store->pool);
    redis_trust_close(store->trust);
    redis_resolver_close(store->resolver);
    (void)pthread_mutex_destroy(&store->claim_conns_lock);
    (void)pthread_mutex_destroy(&store->unsafe_lock);
    free(store);
}

/* Shard 0, so that these tokens stay valid if further servers are added to the list later (queue/shards). */
static void redis_new_token(struct store *base, const char *key, char ret_token[TOKEN_BYTES])
{
    (void)base;
    (void)key;
    token_new(ret_token);
    token_set_shard(ret_token, 0);
}

static const struct shared_cache_ops redis_shared_cache_ops = { .get = redis_cache_get, .put = redis_cache_put };

static const struct store_ops redis_ops = {
    .new_token = redis_new_token,
    .add = redis_add,
    .claim = redis_claim,
    .heartbeat = redis_heartbeat,
    .finish = redis_finish,
    .release = redis_release,
    .give_back = redis_give_back,
    .cancel = redis_cancel,
    .get = redis_get,
    .depth = redis_depth,
    .reap_expired = redis_reap_expired,
    .forget_worker = redis_forget_worker,
    .workers = redis_workers,
    .dead_list = redis_dead_list,
    .dead_get = redis_dead_get,
    .dead_retry = redis_dead_retry,
    .wake = redis_wake,
    .watch = redis_watch,
    .watch_results = redis_watch_results,
    .close = redis_close,
};

void redis_set_budgets(struct redis_store *store, const struct config *config, uint64_t parts)
{
    const struct store_budgets *budgets = &store->budgets;
    store->queue_max = (config->queue_max + parts - 1) / parts;
    store->budgets = store_budgets_of(config, parts);
    (void)snprintf(store->budget, sizeof store->budget, "%llu %llu %llu %llu", (unsigned long long)budgets->ttl_ms,
                   (unsigned long long)budgets->ttl_min_ms, (unsigned long long)budgets->results_bytes,
                   (unsigned long long)budgets->client_results_bytes);
}

int redis_store_new(const struct config *config, const char *url, struct redis_store **ret, struct error *err)
{
    struct redis_address address;
    if (redis_address_parse(url, &address, err) < 0)
        return -1;
    if (config->redis_password[0] != '\0')
        (void)snprintf(address.password, sizeof address.password, "%s", config->redis_password);

    struct redis_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return error_set(err, ERROR_SETUP, ENOMEM, "open store");
    if (redis_resolver_open(address.host, address.port, &store->resolver, err) < 0 ||
        (address.uses_tls && redis_trust_open(config->redis_ca, &store->trust, err) < 0)) {
        redis_resolver_close(store->resolver);
        free(store);
        return -1;
    }
    address.trust = store->trust;
    address.resolver = store->resolver;
    store->store = (struct store){ &redis_ops, "redis", &redis_shared_cache_ops };
    store->lease_ms = config->lease_ms;
    store->attempts_max = config->attempts_max;
    store->returns_max = config->returns_max;
    redis_set_budgets(store, config, 1);
    store->unserved_ms = config->unserved_s * 1000;
    store->idempotency_ms = config->idempotency_s * 1000;
    (void)snprintf(store->prefix, sizeof store->prefix, "{%s}:", config->redis_prefix);
    mutex_init(&store->claim_conns_lock);
    mutex_init(&store->unsafe_lock);
    store->checked_ms = store->opened_ms = redis_now_ms();
    redis_pool_init(&store->pool, &address);
    *ret = store;
    return 0;
}

int redis_store_open(const struct config *config, const char *url, struct store **ret, struct error *err)
{
    struct redis_store *store;
    if (redis_store_new(config, url, &store, err) < 0)
        return -1;
    if (redis_check_server(store, err) < 0) {
        redis_close(&store->store);
        return -1;
    }
    *ret = &store->store;
    return 0;
}
