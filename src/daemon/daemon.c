/*
 * daemon: puts the parts together.  Their order of start and stop, listed in the header, is the point of this file.
 *
 * The launcher is forked first, because a process with threads cannot fork safely and one without root cannot make
 * sandboxes.  Signals are blocked and SIGPIPE is ignored only after that: every program that runs would inherit both.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/api.h"
#include "api/health.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/self.h"
#include "base/sync.h"
#include "daemon/announce.h"
#include "daemon/data_folder.h"
#include "daemon/privileges.h"
#include "daemon/resources.h"
#include "daemon/sd_notify.h"
#include "daemon/signals.h"
#include "metrics/metrics.h"
#include "queue/queue.h"
#include "sandbox/self_test.h"
#include "worker/worker.h"

#define STALLED_US_MAX UINT64_C(30000000) /* a call to an unreachable store takes seconds, never this long */
#define ANSWER_MS_MAX 5000u
#define STOP_MARGIN_S 30u /* beyond the drain: to release what still runs, close the store and end the sandbox */

/* The parts that the store's watch calls.  A part is added once it runs, and removed before it is freed. */
struct watch_targets {
    pthread_mutex_t lock;
    struct api *api;
    struct worker *worker;
};

struct daemon {
    const struct config *config;
    struct languages *languages;
    struct sandbox *sandbox; /* NULL in an API server without a worker */
    struct store *store;
    struct api_keys *api_keys; /* NULL: no key is needed */
    struct worker *worker;     /* NULL in an API server without a worker */
    struct worker_check worker_check;
    struct api *api;              /* NULL in `evalx worker` */
    struct server *health_server; /* the health page of `evalx worker`, or NULL */
    struct watch_targets watch_targets;
    struct sd_notify sd_notify;
    struct identity identity; /* to switch to; all zero if this is not root */
    sigset_t stop_signals;
    bool is_root;
};

static void daemon_init(struct daemon *daemon, const struct config *config, struct languages *languages)
{
    const char **ids = calloc(languages->len + 1, sizeof *ids);

    if (ids == NULL)
        abort();
    config_warn_deprecated(config);
    *daemon = (struct daemon){ .config = config, .languages = languages, .is_root = geteuid() == 0 };
    mutex_init(&daemon->watch_targets.lock);
    sd_notify_open(&daemon->sd_notify);
    (void)sigemptyset(&daemon->stop_signals);
    (void)sigaddset(&daemon->stop_signals, SIGTERM);
    (void)sigaddset(&daemon->stop_signals, SIGINT);
    for (size_t i = 0; i < languages->len; i++)
        ids[i] = languages->list[i].id.at;
    metrics_init(ids, languages->len);
    free(ids);
}

int daemon_start_sandbox(const struct config *config, struct sandbox **ret, struct error *err)
{
    struct sandbox_settings settings = {
        .images_folder = config->images,
        .uid_base = config->uid_base,
        .insecure_no_cgroup = config->insecure_no_cgroup,
        .backend = config->sandbox_backend,
        .isolate = config->isolate,
        .denied_syscalls_kill = strcmp(config->denied_syscalls, "kill") == 0,
        .prestart = config->prestart,
        .pin = config->pin,
    };

    return sandbox_start(&settings, ret, err) < 0 ? error_within(err, "start the sandbox") : 0;
}

/*
 * Before anything is claimed: the probe tries every isolation check in the image of the first available language.  If
 * that image is broken, another one shows whether the sandbox works.
 */
static int test_sandbox(struct daemon *daemon, struct error *err)
{
    const struct languages *languages = daemon->languages;
    const char *failed = NULL;
    uint64_t took_us = 0;

    if (!sandbox_is_native(daemon->sandbox)) {
        log_info("sandbox self-test skipped: external backend backend=\"%s\"", sandbox_backend(daemon->sandbox));
        return 0;
    }
    for (size_t i = 0; i < languages->len; i++) {
        const char *image = languages->list[i].image.at;
        if (!languages->list[i].available || (failed != NULL && strcmp(failed, image) == 0))
            continue;
        if (sandbox_image(daemon->sandbox, image, err) == 0 &&
            self_test_run(daemon->sandbox, image, &took_us, err) == 0) {
            log_info("sandbox self-test passed image=%s took_us=%" PRIu64, image, took_us);
            return 0;
        }
        log_error("image %s: %s", image, err->text);
        failed = image;
    }
    return failed != NULL ? -1 : 0; /* without a language the worker refuses to start and gives the reason */
}

static int start_sandbox(struct daemon *daemon, struct error *err)
{
    if (!daemon->is_root)
        return error_set(err, ERROR_SETUP, 0,
                         "the sandbox needs root: start evalx with sudo or as a service (it drops root before it opens "
                         "a port), or set REDIS_HOST for an API server whose workers run elsewhere");
    if (daemon_start_sandbox(daemon->config, &daemon->sandbox, err) < 0 || test_sandbox(daemon, err) < 0)
        return -1;
    if (daemon->config->insecure_no_cgroup)
        log_warn("insecure_no_cgroup is set: programs run without limits on memory and processes");
    return 0;
}

/* As root: before anything is opened or made. */
static int find_user(struct daemon *daemon, struct error *err)
{
    return daemon->is_root ? identity_find(daemon->config, &daemon->identity, err) : 0;
}

/* Becomes the configured user if this is root, with a data folder if `needs_data`; confines the process either way. */
static int become_user(struct daemon *daemon, bool needs_data, struct error *err)
{
    const struct identity *identity = &daemon->identity;
    const char *data = daemon->config->data;

    if (daemon->is_root) {
        if (needs_data && data_folder_prepare(data, identity, err) < 0)
            return -1;
        if (privileges_drop(identity, err) < 0)
            return -1;
        if (needs_data && access(data, R_OK | W_OK | X_OK) < 0)
            return error_set(err, ERROR_SETUP, errno,
                             "user %s cannot access data folder %s (does a folder above it deny access?)",
                             identity->name, data);
    }
    if (privileges_confine(err) < 0)
        return -1;
    signal_ignore(SIGPIPE);
    signal_ignore(SIGXFSZ); /* a file size limit set by the operator is an error of that write, not the end */
    (void)pthread_sigmask(SIG_BLOCK, &daemon->stop_signals, NULL);
    return 0;
}

static void on_change(void *context, const char token[TOKEN_BYTES], enum submission_state state, bool cancelled)
{
    struct watch_targets *targets = context;
    lock_guard(&targets->lock);

    if (targets->api != NULL)
        api_changed(targets->api, token, state);
    if (cancelled && targets->worker != NULL)
        worker_cancelled(targets->worker, token);
}

static void on_end(void *context, const char token[TOKEN_BYTES], const struct store_view *end)
{
    struct watch_targets *targets = context;
    lock_guard(&targets->lock);

    if (targets->api != NULL)
        api_ended(targets->api, token, end);
}

static void set_watch_targets(struct daemon *daemon, struct api *api, struct worker *worker)
{
    lock_guard(&daemon->watch_targets.lock);
    daemon->watch_targets.api = api;
    daemon->watch_targets.worker = worker;
}

/* `has_api`: an API will run in this process, and wants results as they are stored. */
static int open_store(struct daemon *daemon, bool has_api, struct error *err)
{
    if (store_open(daemon->config, &daemon->store, err) < 0) {
        bool no_server = err->os == ECONNREFUSED || err->os == ETIMEDOUT || err->os == EHOSTUNREACH;
        return error_within(err, no_server ? "open the store (is Redis running there? REDIS_HOST, REDIS_PORT or "
                                             "EVALX_STORE select another)"
                                           : "open the store");
    }
    if (has_api)
        store_watch_results(daemon->store, on_end, &daemon->watch_targets);
    return store_watch(daemon->store, on_change, &daemon->watch_targets, err);
}

static bool worker_check_is_ready(void *context, struct error *err)
{
    return worker_is_ready(context, err);
}

static size_t worker_check_images(void *context)
{
    return worker_images_broken(context);
}

static int start_worker(struct daemon *daemon, struct error *err)
{
    if (worker_start(daemon->config, daemon->languages, daemon->sandbox, daemon->store, &daemon->worker, err) < 0)
        return error_within(err, "start the worker");
    daemon->worker_check.is_ready = worker_check_is_ready;
    daemon->worker_check.images_broken = worker_check_images;
    daemon->worker_check.context = daemon->worker;
    set_watch_targets(daemon, daemon->api, daemon->worker);
    return 0;
}

static int start_api(struct daemon *daemon, struct error *err)
{
    if (api_start(daemon->config, daemon->languages, daemon->store, daemon->api_keys, &daemon->worker_check,
                  &daemon->api, err) < 0)
        return error_within(err, "start the API");
    set_watch_targets(daemon, daemon->api, daemon->worker);
    return 0;
}

/* Logs one line and notifies the service manager. */
static void report_ready(struct daemon *daemon, const char *state, const char *address)
{
    char languages[512] = "", sandbox[64] = "", status[192], access[ANNOUNCE_ACCESS_BYTES] = "none";
    char view[ANNOUNCE_VIEW_BYTES] = "";
    size_t len = 0;

    for (size_t i = 0; i < daemon->languages->len; i++) {
        const struct language *language = &daemon->languages->list[i];
        if (language->available && len < sizeof languages)
            len += (size_t)snprintf(languages + len, sizeof languages - len, "%s%.*s", len > 0 ? "," : "",
                                    TEXT_ARG(language->id));
    }
    if (daemon->worker != NULL) {
        (void)snprintf(sandbox, sizeof sandbox, " slots=%" PRIu32 " cgroup=%s", worker_slots(daemon->worker),
                       sandbox_cgroup(daemon->sandbox));
        announce_view(daemon->languages, view);
    }
    if (daemon->api != NULL) {
        announce_risk(daemon->config, address, api_keys_len(daemon->api_keys));
        announce_access(daemon->config, api_keys_len(daemon->api_keys), access);
    }
    log_info("%s address=%s access=%s%s version=" EVALX_VERSION " store=%s%s languages=%s", state,
             address[0] != '\0' ? address : "none", access, view, daemon->store->kind, sandbox, languages);
    (void)snprintf(status, sizeof status, "%s%s%s%s", state, address[0] != '\0' ? " on " : "", address, sandbox);
    sd_notify_ready(&daemon->sd_notify, status);
}

/* Workers do this themselves.  An API server does it too, so that leases also expire while no worker is alive. */
static void reap_expired(struct daemon *daemon, bool *is_failing)
{
    struct error err;

    if (daemon->worker != NULL)
        return;
    bool failed = store_reap_expired(daemon->store, &err) < 0;
    if (failed && !*is_failing)
        log_error("cannot reap expired leases: %s", err.text);
    *is_failing = failed;
}

/*
 * Checks the parts that do the work, not this thread: the HTTP server answers a request, the worker's threads complete
 * their loops.  An unreachable Redis stalls neither for long, so it never causes a restart.
 */
static bool is_alive(struct daemon *daemon)
{
    if (daemon->worker != NULL && worker_stalled_us(daemon->worker) > STALLED_US_MAX) {
        log_error("watchdog: a worker thread has made no progress for %d s; the keep-alive is withheld",
                  (int)(STALLED_US_MAX / 1000000));
        return false;
    }
    if (daemon->api != NULL && !api_is_responsive(daemon->api, ANSWER_MS_MAX)) {
        log_error("watchdog: the HTTP server did not answer within %d ms; the keep-alive is withheld",
                  (int)ANSWER_MS_MAX);
        return false;
    }
    return true;
}

/* Until SIGTERM or SIGINT: 0.  -1 where the worker cannot continue.  The next signal ends the process at once. */
static int wait_for_stop(struct daemon *daemon, struct error *err)
{
    const struct timespec second = { .tv_sec = 1 };
    int outcome = 0, signal_number;
    bool reap_failing = false;

    while ((signal_number = sigtimedwait(&daemon->stop_signals, NULL, &second)) < 0) {
        if (errno != EAGAIN)
            continue;
        reap_expired(daemon, &reap_failing);
        if (sd_notify_is_due(&daemon->sd_notify) && is_alive(daemon))
            sd_notify_alive(&daemon->sd_notify);
        if (daemon->worker != NULL && worker_is_broken(daemon->worker)) {
            outcome = error_set(err, ERROR_SANDBOX, 0, "the sandbox does not work and did not recover");
            log_error("%s; stopping, because a restart as root may help", err->text);
            break;
        }
    }
    if (signal_number > 0)
        log_info("%s: draining for at most %" PRIu64 " s; a second signal ends the process at once",
                 strsignal(signal_number), daemon->config->drain_s);
    /* The default action from here on: a second signal ends the process, and the supervisor removes the sandbox. */
    (void)pthread_sigmask(SIG_UNBLOCK, &daemon->stop_signals, NULL);
    return outcome;
}

/*
 * Drains and stops everything that was started.  The API and the worker drain until the same deadline, so that the stop
 * takes no longer than the service manager was told.  The worker claims nothing more from the beginning: what it took
 * while the API drains could lack the time to finish.
 */
static void daemon_stop(struct daemon *daemon, uint64_t drain_s)
{
    uint64_t deadline_us = clock_mono_us() + drain_s * 1000000;

    sd_notify_stopping(&daemon->sd_notify, drain_s + STOP_MARGIN_S);
    worker_drain(daemon->worker);
    /* Long polls read the store themselves while the API drains. */
    set_watch_targets(daemon, NULL, daemon->worker);
    if (daemon->api != NULL)
        api_stop(daemon->api, deadline_us);
    worker_stop(daemon->worker, deadline_us);
    set_watch_targets(daemon, NULL, NULL); /* until here the watch reports cancellations to the worker */
    if (daemon->health_server != NULL)     /* it asks the worker */
        server_stop(daemon->health_server, 0);
    worker_free(daemon->worker);
    store_close(daemon->store);
    sandbox_stop(daemon->sandbox);
    api_keys_free(daemon->api_keys);
    (void)pthread_mutex_destroy(&daemon->watch_targets.lock);
    privileges_allow_leak_check();
}

/* `start_outcome` is that of the start, whose error is in *err.  A failed start does not drain: it served no client. */
static int run_until_stop(struct daemon *daemon, int start_outcome, const char *state, const char *address,
                          struct error *err)
{
    int outcome = start_outcome;

    if (outcome == 0) {
        report_ready(daemon, state, address);
        outcome = wait_for_stop(daemon, err);
    }
    daemon_stop(daemon, start_outcome == 0 ? daemon->config->drain_s : 0);
    if (outcome == 0)
        log_info("ended");
    return outcome;
}

/* Before anything is opened or forked.  `slots` is 0 without a worker. */
static int take_resources(struct daemon *daemon, uint32_t slots, struct error *err)
{
    resources_raise_limits();
    daemon->worker_check.descriptors = resources_descriptors(daemon->config, slots);
    return resources_check(daemon->config, slots, err);
}

static int start_server(struct daemon *daemon, struct error *err)
{
    bool embedded = !config_uses_redis(daemon->config);

    daemon->languages->require_available = embedded;
    if (take_resources(daemon, embedded ? worker_slots_wanted(daemon->config) : 0, err) < 0)
        return -1;
    if (find_user(daemon, err) < 0 || api_keys_load(daemon->config, daemon->identity.uid, &daemon->api_keys, err) < 0)
        return -1;
    if (embedded && start_sandbox(daemon, err) < 0)
        return -1;
    if (become_user(daemon, embedded, err) < 0 || open_store(daemon, true, err) < 0)
        return -1;
    if (embedded && start_worker(daemon, err) < 0)
        return -1;
    return start_api(daemon, err);
}

int daemon_run_server(const struct config *config, struct languages *languages, struct error *err)
{
    char address[CONFIG_STRING_BYTES + 8] = "";
    struct daemon daemon;

    daemon_init(&daemon, config, languages);
    int outcome = start_server(&daemon, err);
    if (outcome == 0) { /* with the port that was bound: "listen" may leave the choice to the kernel */
        const char *colon = strrchr(config->listen, ':');
        (void)snprintf(address, sizeof address, "%.*s:%u", colon != NULL ? (int)(colon - config->listen) : 0,
                       config->listen, (unsigned)api_port(daemon.api));
    }
    return run_until_stop(&daemon, outcome, "listening", address, err);
}

static int start_shared_worker(struct daemon *daemon, struct error *err)
{
    if (!config_uses_redis(daemon->config))
        return error_set(err, ERROR_SETUP, 0,
                         "a worker needs a queue that it shares with API servers: set REDIS_HOST (a single machine "
                         "needs no worker, because `%s server` runs everything)",
                         self_name());
    if (take_resources(daemon, worker_slots_wanted(daemon->config), err) < 0 || find_user(daemon, err) < 0 ||
        start_sandbox(daemon, err) < 0 || become_user(daemon, true, err) < 0 || open_store(daemon, false, err) < 0 ||
        start_worker(daemon, err) < 0)
        return -1;
    return health_server_start(daemon->config, &daemon->worker_check, &daemon->health_server, err);
}

int daemon_run_worker(const struct config *config, struct languages *languages, struct error *err)
{
    struct daemon daemon;

    daemon_init(&daemon, config, languages);
    return run_until_stop(&daemon, start_shared_worker(&daemon, err), "working", config->worker_listen, err);
}
