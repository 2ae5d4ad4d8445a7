/* stores: how each store is opened; store_open chooses one. */
#pragma once
#include "queue/queue.h"

/* Bounds in bytes, of the store and of each named client (0: none), and how long results are kept. */
struct store_budgets {
    uint64_t queue_bytes, results_bytes, client_queue_bytes, client_results_bytes;
    uint64_t ttl_ms, ttl_min_ms; /* the second one from half of a results budget on */
};
#define STORE_DEAD_SHARE 4 /* the payloads of dead letters take at most this part of queue_bytes */
/* Of each of `parts` equal stores. */
struct store_budgets store_budgets_of(const struct config *config, uint64_t parts);

/* Why an add is refused.  Each returns -1 with ERROR_BUSY. */
int store_queue_full(uint64_t queue_max, struct error *err);
int store_queue_bytes_full(const struct store_budgets *budgets, struct error *err);
int store_results_full(const struct store_budgets *budgets, struct error *err);

/* Creates `file` and its folders if they are missing.  A second process that opens the file gets ERROR_SETUP. */
int sqlite_store_open(const struct config *config, const char *file, struct store **ret, struct error *err);

/*
 * `url` is redis[s]://[user[:password]@]host[:port][/database].  config->redis_password overrides its password.
 * Connects once, so that a wrong address or password is reported at start.
 */
int redis_store_open(const struct config *config, const char *url, struct store **ret, struct error *err);

/* `urls` is a list of such addresses separated by commas; "-" keeps the number of a server that was removed. */
int redis_shards_open(const struct config *config, const char *urls, struct store **ret, struct error *err);
