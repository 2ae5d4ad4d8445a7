/*
 * routes: what the files of the API's routes share.  `struct api` is the context of every handler.
 */
#pragma once
#include "api/api.h"
#include "api/long_poll.h"
#include "api/subscriptions.h"
#include "queue/async_store.h"

struct clients;
struct decode_thread;
struct depth_cache;
struct ws_server;

struct api {
    const struct config *config;
    const struct languages *languages;
    struct store *store;
    struct clients *clients; /* NULL: everybody is one client */
    struct async_store *async_store;
    struct subscriptions *subscriptions;
    struct long_polls *long_polls;
    struct decode_thread *decode_thread;
    struct depth_cache *depth_cache;
    struct ws_server *ws_server;
    struct server *server;
    struct route *routes;
};

/* submit.c */
void submit_batch(struct exchange *exchange, void *api);
void submit_single(struct exchange *exchange, void *api);
void submit_parallel(struct exchange *exchange, void *api);
int decode_thread_open(struct decode_thread **ret, struct error *err);
void decode_thread_close(struct decode_thread *decode_thread); /* serves what lies there first; NULL is fine */

/* status.c */
void status_show(struct exchange *exchange, void *api);
void status_cancel(struct exchange *exchange, void *api);
/* ?wait=SECONDS, in microseconds; 0 where it is not there. */
int status_read_wait(const struct exchange *exchange, const struct config *config, uint64_t *ret_us, struct error *err);

/* health.c */
void health_alive(struct exchange *exchange, void *api);
void health_ready(struct exchange *exchange, void *api);
void health_metrics(struct exchange *exchange, void *api);
int depth_cache_open(struct api *api, struct depth_cache **ret, struct error *err);
void depth_cache_close(struct depth_cache *depth_cache); /* answers who still asks; NULL is fine */

/* admit.c */
bool auth_check(struct exchange *exchange, void *api); /* as server_settings.admit */
/* Of whoever was admitted: for operators only.  False: it has been answered. */
bool auth_check_operator(struct exchange *exchange, const struct api *api);

/* dead.c */
void dead_list(struct exchange *exchange, void *api);
void dead_show(struct exchange *exchange, void *api);
void dead_retry(struct exchange *exchange, void *api);

/* queue.c */
void queue_info_show(struct exchange *exchange, void *api);
void queue_info_workers(struct exchange *exchange, void *api);

/* about.c */
void about_index(struct exchange *exchange, void *api);
void about_languages(struct exchange *exchange, void *api);

/* websocket.c, websocket_handshake.c */
void websocket_open(struct exchange *exchange, void *api);
int ws_server_open(struct api *api, struct ws_server **ret, struct error *err);
/* Tells every client that the server goes away, and takes no more.  Then, once no one can call it, ws_server_close. */
void ws_server_drain(struct ws_server *ws_server);
void ws_server_close(struct ws_server *ws_server); /* NULL is fine */
