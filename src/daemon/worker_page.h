/* worker_page: the HTTP page of `evalx worker`: /healthz and /metrics. */
#pragma once
#include "config/config.h"
#include "http/server.h"

/* Starts the page at config->worker_listen.  *ret stays as it is where that is empty. */
int worker_page_start(const struct config *config, struct server **ret, struct error *err);
