/*
 * worker: puts the crew together and takes it apart.  What the threads do is in their own files, see crew.h.
 */
#include "worker/worker.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/worker_internal.h"

#define SLOTS_MAX_BY_CONFIG 1024u
#define BROKEN_US 30000000u
#define WAKE_AGAIN_MS 20u

static uint32_t slots_wanted(const struct config *config)
{
    cpu_set_t processors;

    if (config->slots > 0)
        return config->slots < SLOTS_MAX_BY_CONFIG ? (uint32_t)config->slots : SLOTS_MAX_BY_CONFIG;
    if (sched_getaffinity(0, sizeof processors, &processors) < 0 || CPU_COUNT(&processors) < 1)
        return 1;
    return (uint32_t)CPU_COUNT(&processors);
}

/* Host, process and start: a worker that comes back under the same process id is another one. */
static void name_worker(struct worker *worker)
{
    char host[HOST_NAME_MAX + 1] = "";

    if (gethostname(host, sizeof host - 1) < 0 || host[0] == '\0')
        (void)snprintf(host, sizeof host, "unnamed");
    (void)snprintf(worker->name, sizeof worker->name, "%.40s:%d:%" PRIx64, host, (int)getpid(), clock_wall_ms());
}

/* The images of the languages that are here, and the queues they wait in. */
static int name_images_and_queues(struct worker *worker, struct error *err)
{
    size_t queues_len = 0;

    worker->queues = calloc(worker->languages->len + 2, sizeof *worker->queues);
    if (worker->queues == NULL)
        abort();
    for (size_t i = 0; i < worker->languages->len; i++) {
        const struct language *language = &worker->languages->list[i];
        if (!language->available)
            continue;
        if (sandbox_image(worker->sandbox, language->image.at, err) < 0)
            return error_within(err, "image of language %s", language->id.at);
        worker->queues[queues_len++] = language->id.at;
    }
    if (queues_len == 0)
        return error_set(err, ERROR_SETUP, 0, "no language is installed: `evalx languages` says what is missing");
    worker->queues[queues_len] = QUEUE_MIXED;
    return 0;
}

/* A cache that cannot be had makes compiled languages slower, nothing else. */
static void open_caches(struct worker *worker)
{
    char folder[sizeof worker->config->data + sizeof "/artifacts"];
    struct error err;

    if (worker->config->result_cache_bytes > 0 && worker->config->result_cache_s > 0)
        worker->results = result_cache_open(worker->config->result_cache_bytes, worker->config->result_cache_s);
    if (worker->config->cache_bytes_max == 0)
        return;
    (void)snprintf(folder, sizeof folder, "%s/artifacts", worker->config->data);
    worker->share = (struct artifact_share){ .store = worker->store, .bytes_max = worker->config->share_bytes_max };
    bool shares = worker->share.bytes_max > 0 && store_shares(worker->store);
    if (artifact_cache_open(folder, worker->config->cache_bytes_max, shares ? &worker->share : NULL, &worker->cache,
                            &err) < 0)
        log_warn("no artifact cache: %s", err.text);
}

static void init_conditions(struct worker *worker)
{
    pthread_cond_t *conditions[] = { &worker->work, &worker->room,     &worker->ended,  &worker->retry,
                                     &worker->beat, &worker->given_up, &worker->changed };
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        (void)pthread_cond_init(conditions[i], &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&worker->lock, NULL);
}

/* A host that cannot start a handful of threads at the start will run nothing: there is nothing to undo. */
static void start_thread(pthread_t *thread, void *(*body)(void *), void *context)
{
    int os = pthread_create(thread, NULL, body, context);

    if (os != 0) {
        log_error("cannot start a thread: %s", strerror(os));
        abort();
    }
}

static void wake_all(struct worker *worker)
{
    (void)pthread_cond_broadcast(&worker->work);
    (void)pthread_cond_broadcast(&worker->room);
    (void)pthread_cond_broadcast(&worker->ended);
    (void)pthread_cond_broadcast(&worker->retry);
    (void)pthread_cond_broadcast(&worker->beat);
    (void)pthread_cond_broadcast(&worker->given_up);
}

static void end_slots(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    worker->ending = true;
    wake_all(worker);
    (void)pthread_mutex_unlock(&worker->lock);
    for (uint32_t i = 0; i < worker->slots_len; i++)
        (void)pthread_join(worker->slots[i].thread, NULL);
}

static void free_worker(struct worker *worker)
{
    artifact_cache_close(worker->cache);
    result_cache_close(worker->results);
    free(worker->slots);
    free(worker->queues);
    free(worker);
}

/* All slots open their boxes side by side; one that works is enough to begin, none is an error. */
static int start_slots(struct worker *worker, struct error *err)
{
    worker->slots_len = slots_wanted(worker->config);
    worker->slots = calloc(worker->slots_len, sizeof *worker->slots);
    if (worker->slots == NULL)
        abort();
    for (uint32_t i = 0; i < worker->slots_len; i++) {
        worker->slots[i] = (struct executor){ .worker = worker, .number = i };
        start_thread(&worker->slots[i].thread, executor_main, &worker->slots[i]);
    }
    (void)pthread_mutex_lock(&worker->lock);
    while (worker->slots_tried < worker->slots_len)
        (void)pthread_cond_wait(&worker->changed, &worker->lock);
    bool any = worker->slots_open > 0;
    if (!any)
        *err = worker->slot_error;
    (void)pthread_mutex_unlock(&worker->lock);
    return any ? 0 : error_within(err, "open a box");
}

int worker_start(const struct config *config, const struct languages *languages, struct sandbox *sandbox,
                 struct store *store, struct worker **ret, struct error *err)
{
    struct worker *worker = calloc(1, sizeof *worker);

    if (worker == NULL)
        abort();
    worker->config = config;
    worker->languages = languages;
    worker->sandbox = sandbox;
    worker->store = store;
    worker->step_us = STEP_US_LONG;
    worker->beat_us = worker->busy_counted_us = clock_mono_us();
    init_conditions(worker);
    name_worker(worker);
    if (name_images_and_queues(worker, err) < 0)
        goto undo;
    open_caches(worker);
    if (start_slots(worker, err) < 0) {
        end_slots(worker);
        goto undo;
    }
    worker->reporters_len = worker->slots_len < 2 ? 2 : worker->slots_len;
    if (worker->reporters_len > REPORTERS_MAX)
        worker->reporters_len = REPORTERS_MAX;
    for (uint32_t i = 0; i < worker->reporters_len; i++)
        start_thread(&worker->reporters[i], reporter_main, worker);
    worker->heartbeat_pulse_us = clock_mono_us();
    start_thread(&worker->heartbeat, heartbeat_main, worker);
    start_thread(&worker->canceller, canceller_main, worker);
    start_thread(&worker->fetcher, fetcher_main, worker);
    *ret = worker;
    return 0;

undo:
    free_worker(worker);
    return -1;
}

uint32_t worker_slots(const struct worker *worker)
{
    return worker->slots_len;
}

uint64_t worker_stalled_us(const struct worker *worker)
{
    uint64_t fetcher_us = worker->fetcher_pulse_us, heartbeat_us = worker->heartbeat_pulse_us, now_us = clock_mono_us();
    uint64_t oldest_us = fetcher_us != 0 && fetcher_us < heartbeat_us ? fetcher_us : heartbeat_us;

    return oldest_us < now_us ? now_us - oldest_us : 0;
}

bool worker_is_broken(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    bool broken = worker->no_slot_since_us != 0 && clock_mono_us() - worker->no_slot_since_us > BROKEN_US;
    (void)pthread_mutex_unlock(&worker->lock);
    return broken;
}

void worker_cancelled(struct worker *worker, const char token[TOKEN_BYTES])
{
    (void)pthread_mutex_lock(&worker->lock);
    for (struct job *job = worker->job; job != NULL; job = job->next)
        if (strcmp(job->token, token) == 0 && job->end != JOB_ABANDON)
            worker_abort_job(worker, job, JOB_ABANDON);
    (void)pthread_mutex_unlock(&worker->lock);
}

/* The claimer may sleep in the store, or be just about to: so it is woken until it has gone. */
static void stop_claiming(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    worker->stopping = true;
    (void)pthread_cond_broadcast(&worker->room);
    while (!worker->fetcher_ended) {
        (void)pthread_mutex_unlock(&worker->lock);
        store_wake(worker->store);
        (void)pthread_mutex_lock(&worker->lock);
        if (!worker->fetcher_ended)
            (void)worker_wait(worker, &worker->changed, WAKE_AGAIN_MS);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    (void)pthread_join(worker->fetcher, NULL);
}

static void drain(struct worker *worker, uint64_t drain_ms)
{
    uint64_t deadline_us = clock_mono_us() + drain_ms * 1000;

    (void)pthread_mutex_lock(&worker->lock);
    for (uint64_t now_us; worker->job_len > 0 && (now_us = clock_mono_us()) < deadline_us;)
        (void)worker_wait(worker, &worker->changed, (deadline_us - now_us) / 1000 + 1);
    if (worker->job_len > 0)
        log_warn("%zu submissions still run after %" PRIu64 " ms; handing them back", worker->job_len, drain_ms);
    worker->impatient = true;
    worker_abort_all(worker, JOB_RELEASE);
    (void)pthread_cond_broadcast(&worker->retry);
    while (worker->job_len > 0)
        (void)worker_wait(worker, &worker->changed, 0);
    (void)pthread_mutex_unlock(&worker->lock);
}

void worker_stop(struct worker *worker, uint64_t drain_ms)
{
    struct error err;

    if (worker == NULL)
        return;
    stop_claiming(worker);
    drain(worker, drain_ms);
    end_slots(worker);
    for (uint32_t i = 0; i < worker->reporters_len; i++)
        (void)pthread_join(worker->reporters[i], NULL);
    (void)pthread_join(worker->heartbeat, NULL);
    (void)pthread_join(worker->canceller, NULL);
    if (store_forget_worker(worker->store, worker->name, &err) < 0)
        log_warn("forget this worker: %s", err.text);
    free_worker(worker);
}
