/* stores: how each store is opened; store_open chooses one. */
#pragma once
#include "queue/queue.h"

/* Creates `file` and its folders if they are missing.  A second process that opens the file gets ERROR_SETUP. */
int sqlite_store_open(const struct config *config, const char *file, struct store **ret, struct error *err);

/*
 * `url` is redis[s]://[user[:password]@]host[:port][/database].  config->redis_password overrides its password.
 * Connects once, so that a wrong address or password is reported at start.
 */
int redis_store_open(const struct config *config, const char *url, struct store **ret, struct error *err);

/* `urls` is a list of such addresses separated by commas; "-" keeps the number of a server that was removed. */
int redis_shards_open(const struct config *config, const char *urls, struct store **ret, struct error *err);
