/*
 * api_keys: the file of API keys, one client a line.  It is read once at startup.
 *
 *     name:sha256[:queued_max[:running_max[:share_cache[:images]]]]
 *
 * The file contains only the SHA-256 of a key in hexadecimal, never the key.  An omitted or empty limit defaults to
 * client_queued_max or client_running_max; 0 means no limit.  The word share_cache lets the client use caches together
 * with all other clients that have it (cache_key.h).  `images` are the extensions (docs/IMAGES.md) it may use: names
 * separated by commas, or * for all; without the field none.  Blank lines and lines that begin with # are ignored.
 */
#pragma once
#include <sys/types.h>

#include "config/config.h"
#include "queue/queue.h"

struct api_keys;

#define API_CLIENT_IMAGES_BYTES 256
/* Who sent a request: what exchange_client returns if API keys are used. */
struct api_client {
    struct store_client store;
    bool share_cache;
    char images[API_CLIENT_IMAGES_BYTES]; /* image_list_has */
};

#define CLIENT_OPERATOR "operator" /* the client that may read and retry all dead letters */

/*
 * *ret is NULL if api_keys_file is not set; then there is no authentication.  The file must belong to root, to `owner`
 * or to the caller, and nobody else may read it.  ERROR_SETUP if that is not so, or if a line is invalid.  The error
 * never quotes anything that might be a key.
 */
int api_keys_load(const struct config *config, uid_t owner, struct api_keys **ret, struct error *err);
size_t api_keys_len(const struct api_keys *api_keys); /* NULL is fine */
void api_keys_free(struct api_keys *api_keys);        /* NULL is fine */

/* The images that a client may use; all of them without API keys, where `client` is NULL. */
struct text api_client_images(const struct api_client *client);

/* The client with this key, or NULL.  Takes the same time however much of a key matches. */
const struct api_client *api_keys_find(const struct api_keys *api_keys, struct text key);
