/*
 * health: /healthz, /readyz and /metrics, of the API and of a worker without an API.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "config/config.h"
#include "http/server.h"

/* What HTTP has to know of the rest of the process. */
struct worker_check {
    /* Whether the worker can run programs; false with the reason in *err.  Any thread.  NULL: there is no worker. */
    bool (*is_ready)(void *context, struct error *err);
    /* How many images are broken, so that the worker does not serve their languages.  Any thread. */
    size_t (*images_broken)(void *context);
    void *context;
    uint32_t descriptors; /* that the other parts may open, so connections leave them */
};

/* Handlers of the API's routes; the context is its struct api. */
void health_alive(struct exchange *exchange, void *api);
void health_ready(struct exchange *exchange, void *api);
void health_metrics(struct exchange *exchange, void *api);

/*
 * Starts a server with /healthz, /readyz and /metrics on worker_listen.  *ret is NULL if that is not set.  It has no
 * queue metrics, because every API server reports the same ones.  `check` is borrowed until the server has stopped.
 */
int health_server_start(const struct config *config, const struct worker_check *check, struct server **ret,
                        struct error *err);
