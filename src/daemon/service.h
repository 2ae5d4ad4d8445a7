/*
 * service: what `evalx server` and `evalx worker` have in common: the order in which the parts start and stop.
 *
 *   start:  settings -> sandbox (root, no thread yet) -> data folder -> root given up -> store -> worker -> HTTP
 *   stop:   HTTP takes nothing new and answers what it has -> worker drains -> store -> sandbox
 */
#pragma once
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "api/api.h"
#include "cli/command_line.h"
#include "daemon/sd_notify.h"
#include "model/language.h"
#include "queue/queue.h"
#include "sandbox/sandbox.h"
#include "worker/worker.h"

/* Who hears of changes in the store.  A part is wired once it runs, and unwired before it is stopped. */
struct wiring {
    pthread_mutex_t lock;
    struct api *api;
    struct worker *worker;
};

struct service {
    struct config config;
    struct languages languages;
    struct sandbox *sandbox; /* NULL where nothing is run here */
    struct store *store;
    struct worker *worker; /* NULL where nothing is run here */
    struct api *api;       /* NULL in a worker */
    struct server *page;   /* a worker's /metrics and /healthz, or NULL */
    struct wiring wiring;
    struct sd_notify sd_notify; /* the service manager, if it started this and wants to hear */
    sigset_t stop_signals;
    bool is_root;
};

/* Settings, languages, metrics.  Before it: nothing; after it, service_stop is due whatever happens. */
int service_begin(struct service *service, const struct invocation *invocation, struct error *err);

/* As root: the launcher runs.  Not as root: an error that says what to do. */
int service_start_sandbox(struct service *service, struct error *err);

/* Becomes config's user if this is root, with a data folder of its own if `needs_data`; confines itself either way. */
int service_become_user(struct service *service, bool needs_data, struct error *err);

/* Opens the store and wires it.  `serves`: an API will be here. */
int service_open_store(struct service *service, bool serves, struct error *err);
int service_start_worker(struct service *service, struct error *err);
int service_start_api(struct service *service, struct error *err);

/* One log line, and word to the service manager: that it is ready, and for what. */
void service_say_ready(struct service *service, const char *what, const char *address);

/* Until SIGTERM or SIGINT; EVALX_EXIT_OK, or EVALX_EXIT_FAILURE where the service cannot go on.  A further signal ends the process
 * at once. */
int service_wait(struct service *service);

/* Drains and ends all that was started. */
void service_stop(struct service *service);
