/*
 * routes: what the files of the API's routes share.  `struct api` is the context of every handler.
 */
#pragma once
#include "api/api.h"
#include "api/wait.h"
#include "api/watch.h"
#include "store/desk.h"

struct clients;
struct intake;
struct keeper;
struct hub;

struct api {
    const struct config *config;
    const struct languages *languages;
    struct store *store;
    struct clients *clients; /* NULL: everybody is one client */
    struct desk *desk;
    struct watch *watch;
    struct waits *waits;
    struct intake *intake;
    struct keeper *keeper;
    struct hub *hub;
    struct server *server;
    struct route *routes;
};

/* submit.c */
void submit_batch(struct exchange *exchange, void *api);
void submit_single(struct exchange *exchange, void *api);
void submit_parallel(struct exchange *exchange, void *api);
int intake_open(struct intake **ret, struct error *err);
void intake_close(struct intake *intake); /* serves what lies there first; NULL is fine */

/* status.c */
void status_show(struct exchange *exchange, void *api);
void status_cancel(struct exchange *exchange, void *api);
/* ?wait=SECONDS, in microseconds; 0 where it is not there. */
int status_read_wait(const struct exchange *exchange, const struct config *config, uint64_t *ret_us,
                     struct error *err);

/* health.c */
void health_alive(struct exchange *exchange, void *api);
void health_ready(struct exchange *exchange, void *api);
void health_metrics(struct exchange *exchange, void *api);
int keeper_open(struct api *api, struct keeper **ret, struct error *err);
void keeper_close(struct keeper *keeper); /* answers who still asks; NULL is fine */

/* admit.c */
bool admit(struct exchange *exchange, void *api); /* as server_settings.admit */
/* Of whoever was admitted: for operators only.  False: it has been answered. */
bool admit_operator(struct exchange *exchange, const struct api *api);

/* dead.c */
void dead_list(struct exchange *exchange, void *api);
void dead_show(struct exchange *exchange, void *api);
void dead_retry(struct exchange *exchange, void *api);

/* queue.c */
void queue_show(struct exchange *exchange, void *api);
void queue_workers(struct exchange *exchange, void *api);

/* about.c */
void about_index(struct exchange *exchange, void *api);
void about_languages(struct exchange *exchange, void *api);

/* websocket.c, websocket_handshake.c */
void websocket_open(struct exchange *exchange, void *api);
int hub_open(struct api *api, struct hub **ret, struct error *err);
/* Tells every client that the server goes away, and takes no more.  Then, once no one can call it, hub_close. */
void hub_drain(struct hub *hub);
void hub_close(struct hub *hub); /* NULL is fine */
