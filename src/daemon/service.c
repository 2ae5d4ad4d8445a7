/*
 * service: see the header for the order, which is the point of this file.
 *
 * The launcher is forked first because a process with threads cannot fork safely and one without root cannot make
 * sandboxes.  Signals are blocked, and SIGPIPE ignored, only after that: both would be inherited by every program run.
 */
#include "daemon/service.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/settings.h"
#include "daemon/privileges.h"
#include "daemon/signals.h"
#include "metrics/metrics.h"
#include "sandbox/self_test.h"

#define STALLED_US_MAX UINT64_C(30000000) /* calls to a store that is away take seconds, never so long */
#define ANSWER_MS_MAX 5000u
#define PATIENCE_BEYOND_DRAIN_S 30u

static void init_metrics(const struct languages *languages)
{
    const char **ids = calloc(languages->len + 1, sizeof *ids);

    if (ids == NULL)
        abort();
    for (size_t i = 0; i < languages->len; i++)
        ids[i] = languages->list[i].id.at;
    metrics_init(ids, languages->len);
    free(ids);
}

int service_begin(struct service *service, const struct invocation *invocation, struct error *err)
{
    *service = (struct service){ .is_root = geteuid() == 0 };
    (void)pthread_mutex_init(&service->wiring.lock, NULL);
    sd_notify_open(&service->sd_notify);
    (void)sigemptyset(&service->stop_signals);
    (void)sigaddset(&service->stop_signals, SIGTERM);
    (void)sigaddset(&service->stop_signals, SIGINT);
    if (settings_load(invocation, &service->config, err) < 0 ||
        settings_languages(&service->config, &service->languages, err) < 0)
        return -1;
    init_metrics(&service->languages);
    return 0;
}

/* Before anything is claimed: the walls stand, tried in the image of the first language that is here. */
static int service_test_sandbox(struct service *service, struct error *err)
{
    const struct languages *languages = &service->languages;
    uint64_t took_us = 0;
    size_t i = 0;

    while (i < languages->len && !languages->list[i].available)
        i++;
    if (!sandbox_is_native(service->sandbox)) {
        log_info("the sandbox is another's, its walls are not probed driver=\"%s\"", sandbox_backend(service->sandbox));
        return 0;
    }
    if (i == languages->len)
        return 0; /* nothing can be run: the worker refuses to start, and says why */
    const char *image = languages->list[i].image.at;
    if (sandbox_image(service->sandbox, image, err) < 0 || self_test_run(service->sandbox, image, &took_us, err) < 0)
        return -1;
    log_info("the walls of the sandbox stand image=%s took_us=%" PRIu64, image, took_us);
    return 0;
}

int service_start_sandbox(struct service *service, struct error *err)
{
    struct sandbox_settings settings = {
        .images_folder = service->config.images,
        .uid_base = service->config.uid_base,
        .insecure_no_cgroup = service->config.insecure_no_cgroup,
        .driver = service->config.driver,
        .isolate = service->config.isolate,
        .denied_syscalls_kill = strcmp(service->config.refused_calls, "kill") == 0,
        .warm = service->config.warm,
        .pin = service->config.pin,
    };

    if (!service->is_root)
        return error_set(err, ERROR_SETUP, 0,
                         "sandboxes need root: start it by sudo or as a service (it gives root up before it opens a "
                         "port), or set REDIS_HOST to have an API server whose workers are elsewhere");
    if (sandbox_start(&settings, &service->sandbox, err) < 0)
        return error_within(err, "start the sandbox");
    if (service_test_sandbox(service, err) < 0)
        return -1;
    if (service->config.insecure_no_cgroup)
        log_warn("insecure_no_cgroup is set: programs run without limits of memory and processes");
    return 0;
}

/* Every connection, run and store takes descriptors; the usual soft limit of 1024 is for programs that use select. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int service_become_user(struct service *service, bool needs_data, struct error *err)
{
    struct identity identity;
    const char *data = service->config.data;

    raise_file_limit();
    if (service->is_root) {
        if (identity_find(&service->config, &identity, err) < 0)
            return -1;
        if (needs_data && data_folder_prepare(data, &identity, err) < 0)
            return -1;
        if (privileges_drop(&identity, err) < 0)
            return -1;
        if (needs_data && access(data, R_OK | W_OK | X_OK) < 0)
            return error_set(err, ERROR_SETUP, errno,
                             "user %s cannot reach data folder %s (is a folder above it closed?)", identity.name, data);
    }
    if (privileges_confine(err) < 0)
        return -1;
    signal_ignore(SIGPIPE);
    signal_ignore(SIGXFSZ); /* a file limit of the operator's is an error where it is met, not the end */
    (void)pthread_sigmask(SIG_BLOCK, &service->stop_signals, NULL);
    return 0;
}

static void hear(void *context, const char token[TOKEN_BYTES], enum submission_state state, bool cancelled)
{
    struct wiring *wiring = context;

    (void)pthread_mutex_lock(&wiring->lock);
    if (wiring->api != NULL)
        api_changed(wiring->api, token, state);
    if (cancelled && wiring->worker != NULL)
        worker_cancelled(wiring->worker, token);
    (void)pthread_mutex_unlock(&wiring->lock);
}

static void hear_end(void *context, const char token[TOKEN_BYTES], const struct store_view *end)
{
    struct wiring *wiring = context;

    (void)pthread_mutex_lock(&wiring->lock);
    if (wiring->api != NULL)
        api_ended(wiring->api, token, end);
    (void)pthread_mutex_unlock(&wiring->lock);
}

static void wire(struct service *service, struct api *api, struct worker *worker)
{
    (void)pthread_mutex_lock(&service->wiring.lock);
    service->wiring.api = api;
    service->wiring.worker = worker;
    (void)pthread_mutex_unlock(&service->wiring.lock);
}

int service_open_store(struct service *service, bool serves, struct error *err)
{
    if (store_open(&service->config, &service->store, err) < 0) {
        bool nobody_listens = err->os == ECONNREFUSED || err->os == ETIMEDOUT || err->os == EHOSTUNREACH;
        return error_within(err, nobody_listens ? "open the store (is Redis running there?  REDIS_HOST, REDIS_PORT or "
                                                  "EVALX_STORE name another)"
                                                : "open the store");
    }
    if (serves)
        store_watch_ends(service->store, hear_end, &service->wiring);
    return store_watch(service->store, hear, &service->wiring, err);
}

int service_start_worker(struct service *service, struct error *err)
{
    if (worker_start(&service->config, &service->languages, service->sandbox, service->store, &service->worker, err) <
        0)
        return error_within(err, "start the worker");
    wire(service, service->api, service->worker);
    return 0;
}

int service_start_api(struct service *service, struct error *err)
{
    if (api_start(&service->config, &service->languages, service->store, &service->api, err) < 0)
        return error_within(err, "start the API");
    wire(service, service->api, service->worker);
    return 0;
}

void service_say_ready(struct service *service, const char *what, const char *address)
{
    char languages[512] = "", sandbox[64] = "", status[192];
    size_t len = 0;

    for (size_t i = 0; i < service->languages.len; i++) {
        const struct language *language = &service->languages.list[i];
        if (language->available && len < sizeof languages)
            len += (size_t)snprintf(languages + len, sizeof languages - len, "%s%.*s", len > 0 ? "," : "",
                                    TEXT_ARG(language->id));
    }
    if (service->worker != NULL)
        (void)snprintf(sandbox, sizeof sandbox, " slots=%" PRIu32 " cgroup=%s", worker_slots(service->worker),
                       sandbox_cgroup(service->sandbox));
    log_info("%s address=%s version=" EVALX_VERSION " store=%s%s languages=%s", what,
             address[0] != '\0' ? address : "none", service->store->kind, sandbox, languages);
    (void)snprintf(status, sizeof status, "%s%s%s%s", what, address[0] != '\0' ? " on " : "", address, sandbox);
    sd_notify_ready(&service->sd_notify, status);
}

/* A worker sweeps by itself; an API server does, so that leases also run out while no worker lives. */
static void sweep(struct service *service, bool *failing)
{
    struct error err;

    if (service->worker != NULL)
        return;
    bool failed = store_reap_expired(service->store, &err) < 0;
    if (failed && !*failing)
        log_error("sweep: %s", err.text);
    *failing = failed;
}

/*
 * Not that this thread runs, but that the parts do which do the work: the server answers a request, the worker's
 * threads come round.  A Redis that is away stalls neither for long, so it is no reason to be started anew.
 */
static bool is_alive(struct service *service)
{
    if (service->worker != NULL && worker_stalled_us(service->worker) > STALLED_US_MAX) {
        log_error("a thread of the worker has not come round for %d s: no sign of life to the service manager",
                  (int)(STALLED_US_MAX / 1000000));
        return false;
    }
    if (service->api != NULL && !api_answers(service->api, ANSWER_MS_MAX)) {
        log_error("the server did not answer its own request within %d ms: no sign of life to the service manager",
                  (int)ANSWER_MS_MAX);
        return false;
    }
    return true;
}

int service_wait(struct service *service)
{
    const struct timespec second = { .tv_sec = 1 };
    int status = EVALX_EXIT_OK, signal_number;
    bool sweep_failing = false;

    while ((signal_number = sigtimedwait(&service->stop_signals, NULL, &second)) < 0) {
        if (errno != EAGAIN)
            continue;
        sweep(service, &sweep_failing);
        if (sd_notify_is_due(&service->sd_notify) && is_alive(service))
            sd_notify_alive(&service->sd_notify);
        if (service->worker != NULL && worker_is_broken(service->worker)) {
            log_error("no box could be opened for long: ending, so that a new start can help");
            status = EVALX_EXIT_FAILURE;
            break;
        }
    }
    if (signal_number > 0)
        log_info("%s: draining for at most %" PRIu64 " s; once more to end at once", strsignal(signal_number),
                 service->config.drain_s);
    /* From now on the default action: the second signal ends the process, and the launcher cleans up by itself. */
    (void)pthread_sigmask(SIG_UNBLOCK, &service->stop_signals, NULL);
    return status;
}

void service_stop(struct service *service)
{
    uint64_t drain_ms = service->config.drain_s * 1000;

    sd_notify_stopping(&service->sd_notify, service->config.drain_s + PATIENCE_BEYOND_DRAIN_S);
    /* The API's waiters look at the store by themselves while it drains. */
    wire(service, NULL, service->worker);
    if (service->api != NULL)
        api_stop(service->api, drain_ms);
    worker_stop(service->worker, drain_ms);
    wire(service, NULL, NULL);
    if (service->page != NULL)
        server_stop(service->page, 0);
    store_close(service->store);
    sandbox_stop(service->sandbox);
    languages_done(&service->languages);
    (void)pthread_mutex_destroy(&service->wiring.lock);
    privileges_allow_leak_check();
}
