/* queue: chooses the store, and frees what stores return. */
#include "queue/queue.h"

#include "config/config.h"
#include "queue/stores.h"

void store_claim_done(struct store_claim *claim)
{
    buf_done(&claim->payload);
}

bool store_filter_passes(const struct store_filter *filter, const char *client, enum submission_priority priority)
{
    if (filter->without[priority])
        return false;
    for (size_t i = 0; i < filter->flows_len; i++)
        if (filter->flows[i].priority == priority && strcmp(filter->flows[i].client, client) == 0)
            return false;
    return true;
}

/* Adds the queues of later versions to the one of their language. */
static void merge_versions(struct queue_depth *depth)
{
    size_t len = 0;
    for (size_t i = 0; i < depth->queues_len; i++) {
        size_t at = 0;
        depth->queues[i].queue[queue_language(depth->queues[i].queue).len] = '\0';
        while (at < len && strcmp(depth->queues[at].queue, depth->queues[i].queue) != 0)
            at++;
        if (at == len) {
            depth->queues[len++] = depth->queues[i];
            continue;
        }
        depth->queues[at].waiting += depth->queues[i].waiting;
        depth->queues[at].running += depth->queues[i].running;
        for (size_t priority = 0; priority < PRIORITY_COUNT_; priority++)
            depth->queues[at].waiting_by[priority] += depth->queues[i].waiting_by[priority];
    }
    depth->queues_len = len;
}

int store_depth(struct store *store, struct queue_depth *ret, struct error *err)
{
    if (store->ops->depth(store, ret, err) < 0)
        return -1;
    merge_versions(ret);
    return 0;
}

void store_view_done(struct store_view *view)
{
    buf_done(&view->result);
}

void store_dead_done(struct store_dead *dead)
{
    buf_done(&dead->payload);
}

struct store_budgets store_budgets_of(const struct config *config, uint64_t parts)
{
    uint64_t ttl_ms = config->result_ttl_s * 1000, ttl_min_ms = config->result_ttl_min_s * 1000;
    return (struct store_budgets){
        .queue_bytes = (config->queue_bytes + parts - 1) / parts,
        .results_bytes = (config->results_bytes + parts - 1) / parts,
        .client_queue_bytes = (config->client_queue_bytes + parts - 1) / parts,
        .client_results_bytes = (config->client_results_bytes + parts - 1) / parts,
        .ttl_ms = ttl_ms,
        .ttl_min_ms = ttl_min_ms < ttl_ms ? ttl_min_ms : ttl_ms,
    };
}

int store_queue_full(uint64_t queue_max, struct error *err)
{
    return error_set(err, ERROR_BUSY, 0, "the queue is full (%llu submissions wait)", (unsigned long long)queue_max);
}

int store_queue_bytes_full(const struct store_budgets *budgets, struct error *err)
{
    return error_set(err, ERROR_BUSY, 0, "the queue is full (its submissions take up to %llu bytes: queue_bytes)",
                     (unsigned long long)budgets->queue_bytes);
}

int store_results_full(const struct store_budgets *budgets, struct error *err)
{
    return error_set(err, ERROR_BUSY, 0,
                     "the stored results take %llu bytes (results_bytes); try again when some have expired, in up to "
                     "%llu s",
                     (unsigned long long)budgets->results_bytes, (unsigned long long)budgets->ttl_min_ms / 1000);
}

static bool starts_with(const char *string, const char *start)
{
    return strncmp(string, start, strlen(start)) == 0;
}

static int open_named(const struct config *config, struct store **ret, struct error *err)
{
    bool is_list = strchr(config->store, ',') != NULL;
    if (is_list && (starts_with(config->store, "redis") || starts_with(config->store, "-")))
        return redis_shards_open(config, config->store, ret, err);
    if (starts_with(config->store, "redis://") || starts_with(config->store, "rediss://"))
        return redis_store_open(config, config->store, ret, err);
    if (starts_with(config->store, "sqlite:") && config->store[strlen("sqlite:")] != '\0')
        return sqlite_store_open(config, config->store + strlen("sqlite:"), ret, err);
    /* The error does not quote the address, which may contain a password. */
    return error_set(err, ERROR_SETUP, 0, "store: expected redis[s]://[user@]host[:port][/db] or sqlite:FILE");
}

int store_open(const struct config *config, struct store **ret, struct error *err)
{
    if (config->store[0] != '\0')
        return open_named(config, ret, err);
    if (config->redis_host[0] != '\0') {
        char url[CONFIG_STRING_BYTES + 64];
        bool is_v6 = strchr(config->redis_host, ':') != NULL && config->redis_host[0] != '[';
        (void)snprintf(url, sizeof url, is_v6 ? "redis://[%s]:%llu" : "redis://%s:%llu", config->redis_host,
                       (unsigned long long)config->redis_port);
        return redis_store_open(config, url, ret, err);
    }
    char file[CONFIG_STRING_BYTES + 16];
    (void)snprintf(file, sizeof file, "%s/evalx.db", config->data);
    return sqlite_store_open(config, file, ret, err);
}
