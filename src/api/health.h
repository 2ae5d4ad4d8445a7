/*
 * health: /healthz, /readyz and /metrics, of the API and of a worker without an API.
 */
#pragma once
#include "config/config.h"
#include "http/server.h"

/* Handlers of the API's routes; the context is its struct api. */
void health_alive(struct exchange *exchange, void *api);
void health_ready(struct exchange *exchange, void *api);
void health_metrics(struct exchange *exchange, void *api);

/*
 * Starts a server with /healthz and /metrics on worker_listen.  *ret is NULL if that is not set.  It has no queue
 * metrics, because every API server reports the same ones.
 */
int health_server_start(const struct config *config, struct server **ret, struct error *err);
