/*
 * clients: who may use the API: the file of API keys.
 *
 * A line each, `name:sha256[:queued_max[:running_max]]`: the key itself is nowhere, only its SHA-256 in hexadecimal.
 * Limits that are left out or empty are client_queued_max and client_running_max; 0 is no limit.  Blank lines and lines
 * that begin with # do not count.  Read once, at start.
 */
#pragma once
#include "config/config.h"
#include "queue/queue.h"

struct clients;

#define CLIENT_OPERATOR "operator" /* the client that may see and retry everybody's dead letters */

/* *ret is NULL where the configuration names no file: then everybody may use it.  A file that others than its owner may
 * read, or with a line that is wrong, is ERROR_SETUP, which never quotes what might be a key. */
int clients_load(const struct config *config, struct clients **ret, struct error *err);
void clients_free(struct clients *clients); /* NULL is fine */

/* Whose key it is; NULL for nobody's.  How long it takes does not tell how near a guess came. */
const struct store_client *clients_find(const struct clients *clients, struct text key);
