/* backends: the two ways to open a store; store_open chooses. */
#pragma once
#include "queue/queue.h"

/* `file` is made, with its folders, if it is missing.  One process at a time; a second one is ERROR_SETUP. */
int sqlite_store_open(const struct config *config, const char *file, struct store **ret, struct error *err);

/*
 * `url` is redis://[user[:password]@]host[:port][/database].  config->redis_password wins over the URL's.
 * Connects once, so that a wrong address or password is told at start.
 */
int redis_store_open(const struct config *config, const char *url, struct store **ret, struct error *err);

/* `urls` is a list of such addresses, separated by commas; "-" keeps the place of one that is gone. */
int redis_shards_open(const struct config *config, const char *urls, struct store **ret, struct error *err);
