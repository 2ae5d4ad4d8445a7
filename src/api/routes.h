/*
 * routes: the API's state and the handlers of its routes, all of which have a `struct api` as context.
 */
#pragma once
#include "api/api.h"
#include "api/api_keys.h"
#include "api/decode_threads.h"
#include "api/depth_cache.h"
#include "api/health.h"
#include "api/large_results.h"
#include "api/long_poll.h"
#include "api/subscriptions.h"
#include "api/ws.h"
#include "queue/async_store.h"

struct api {
    const struct config *config;
    const struct languages *languages;
    struct store *store;
    struct worker_check worker_check;
    const struct api_keys *api_keys; /* NULL: no authentication */
    struct async_store *async_store;
    struct subscriptions *subscriptions;
    struct large_results *large_results;
    struct long_polls *long_polls;
    struct decode_threads *decode_threads;
    struct depth_cache *depth_cache;
    struct ws_server *ws_server;
    struct server *server;
};

/* submit.c */
void submit_batch(struct exchange *exchange, void *api);
void submit_single(struct exchange *exchange, void *api);
void submit_parallel(struct exchange *exchange, void *api);

/* status.c */
void status_show(struct exchange *exchange, void *api);
void status_cancel(struct exchange *exchange, void *api);
/* Reads ?wait=SECONDS; 0 if it is absent. */
int status_read_wait(const struct exchange *exchange, const struct config *config, uint64_t *ret_us, struct error *err);

/* auth.c */
bool auth_check(struct exchange *exchange, void *api); /* as server_settings.auth_check */
/* In a handler for operators only.  False if the client is not one; then it has responded. */
bool auth_check_operator(struct exchange *exchange, const struct api *api);

/* dead_letters.c */
void dead_letters_list(struct exchange *exchange, void *api);
void dead_letters_show(struct exchange *exchange, void *api);
void dead_letters_retry(struct exchange *exchange, void *api);

/* queue_info.c */
void queue_info_show(struct exchange *exchange, void *api);
void queue_info_workers(struct exchange *exchange, void *api);

/* about.c */
void about_index(struct exchange *exchange, void *api);
void about_languages(struct exchange *exchange, void *api);
