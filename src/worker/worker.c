/* worker: starts and stops the threads.  Each thread's work is in its own file; worker_internal.h lists them. */
#include "worker/worker.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/submission_json.h"
#include "metrics/metrics.h"
#include "sandbox/protocol.h"
#include "worker/worker_internal.h"

#define WAKE_AGAIN_US 20000u
#define FLOW_JOBS_SPARE 2u /* jobs of one client and priority that a worker takes turns between, beyond its slots */
#define THREAD_NAME_BYTES 16

uint32_t worker_slots_wanted(const struct config *config)
{
    cpu_set_t processors;

    if (config->slots > 0)
        return config->slots < SLOTS_MAX ? (uint32_t)config->slots : SLOTS_MAX;
    if (sched_getaffinity(0, sizeof processors, &processors) < 0 || CPU_COUNT(&processors) < 1)
        return 1;
    return (uint32_t)CPU_COUNT(&processors);
}

/* Host, process id and start time: a process id may be used again. */
static void name_worker(struct worker *worker)
{
    char host[HOST_NAME_MAX + 1] = "";

    if (gethostname(host, sizeof host - 1) < 0 || host[0] == '\0')
        (void)snprintf(host, sizeof host, "unnamed");
    (void)snprintf(worker->name, sizeof worker->name, "%.40s:%d:%" PRIx64, host, (int)getpid(), clock_wall_ms());
}

/* Adds the queues of a language to those that the worker serves. */
static void add_queues(struct worker *worker, struct text language, const char *image)
{
    for (unsigned version = 1; version <= SUBMISSION_VERSION_MAX; version++) {
        queue_name(language, version, worker->queue_names[worker->queues_len]);
        worker->queue_images[worker->queues_len++] = image;
    }
}

/*
 * Registers the images of the installed languages with the sandbox and lists the languages' queues.  It is an error if
 * the sandbox accepts none.
 */
static int register_languages(struct worker *worker, struct error *err)
{
    size_t queues_max = (worker->languages->len + 1) * SUBMISSION_VERSION_MAX;

    worker->queue_names = calloc(queues_max, sizeof *worker->queue_names);
    worker->queue_images = calloc(queues_max, sizeof *worker->queue_images);
    worker->images = calloc(worker->languages->len + 1, sizeof *worker->images);
    if (worker->queue_names == NULL || worker->queue_images == NULL || worker->images == NULL)
        abort();
    add_queues(worker, TEXT(QUEUE_MIXED), NULL);
    worker->queues_mixed = worker->queues_len;
    for (size_t i = 0; i < worker->languages->len; i++) {
        const struct language *language = &worker->languages->list[i];
        if (!language->available)
            continue;
        bool is_new = false;
        const struct worker_image *image = worker_image(worker, language->image.at, &is_new);
        if (is_new && sandbox_image(worker->sandbox, image->name, err) < 0)
            worker_image_tested(worker, image->name, err);
        add_queues(worker, language->id, image->name);
    }
    if (worker->images_len == 0)
        return error_set(err, ERROR_SETUP, 0, "no language is installed; run `evalx languages` to see what is missing");
    return worker->images_broken == worker->images_len ? error_within(err, "every image is broken") : 0;
}

/* Without its artifact cache a worker compiles more often, but it works.  So a failure is only logged. */
static void open_caches(struct worker *worker)
{
    const struct config *config = worker->config;
    char folder[sizeof config->data + sizeof "/artifacts"];
    struct error err;

    if (config->result_cache_bytes > 0 && config->result_cache_s > 0)
        worker->results = result_cache_open(config->result_cache_bytes, config->result_cache_s);
    if (config->cache_bytes_max == 0)
        return;
    (void)snprintf(folder, sizeof folder, "%s/artifacts", config->data);
    worker->share = (struct artifact_share){ .store = worker->store, .bytes_max = config->share_bytes_max };
    bool shares = worker->share.bytes_max > 0 && shared_cache_exists(worker->store);
    if (artifact_cache_open(folder, config->cache_bytes_max, shares ? &worker->share : NULL, &worker->cache, &err) < 0)
        log_warn("artifact cache disabled: %s", err.text);
}

/* Executors open their slots in parallel.  One open slot is enough to start; none is an error. */
static int start_executors(struct worker *worker, struct error *err)
{
    worker->executors_len = worker_slots_wanted(worker->config);
    worker->schedule.flow_jobs = worker->executors_len + FLOW_JOBS_SPARE;
    worker->executors = calloc(worker->executors_len, sizeof *worker->executors);
    if (worker->executors == NULL)
        abort();
    for (uint32_t i = 0; i < worker->executors_len; i++) {
        char name[THREAD_NAME_BYTES];
        (void)snprintf(name, sizeof name, "executor-%u", i % SLOTS_MAX);
        worker->executors[i] = (struct executor){ .worker = worker, .number = i, .proven = NEVER_PROVEN };
        thread_start_or_abort(&worker->executors[i].thread, name, executor_main, &worker->executors[i]);
    }

    lock_guard(&worker->lock);
    while (worker->executors_tried < worker->executors_len)
        cond_wait(&worker->progress, &worker->lock);
    if (worker->slots_open > 0)
        return 0;
    *err = worker->slot_error;
    return error_within(err, "open a sandbox slot");
}

static void start_reporters(struct worker *worker)
{
    worker->reporters_len = worker->executors_len < 2 ? 2 : worker->executors_len;
    if (worker->reporters_len > REPORTERS_MAX)
        worker->reporters_len = REPORTERS_MAX;
    for (uint32_t i = 0; i < worker->reporters_len; i++) {
        char name[THREAD_NAME_BYTES];
        (void)snprintf(name, sizeof name, "reporter-%u", i % REPORTERS_MAX);
        thread_start_or_abort(&worker->reporters[i], name, reporter_main, worker);
    }
}

static void enter_phase(struct worker *worker, enum worker_phase phase)
{
    lock_guard(&worker->lock);
    worker_set_phase(worker, phase);
}

void worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    artifact_cache_close(worker->cache);
    artifact_budget_close(&worker->budget);
    result_cache_close(worker->results);
    free(worker->executors);
    free(worker->images);
    free(worker->queue_images);
    free(worker->queue_names);
    free(worker);
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
    worker->budget.folder_fd = -1;
    worker->step_us = STEP_US_LONG;
    worker->heartbeat_us = worker->busy_counted_us = clock_mono_us();
    worker_init_sync(worker);
    metrics_sandbox(true);
    name_worker(worker);
    if (register_languages(worker, err) < 0)
        goto undo;
    open_caches(worker);
    worker->budget.memory_max = config->artifacts_memory_max;
    worker->budget.disk_max = config->artifacts_disk_max;
    artifact_budget_open(&worker->budget, config->data);
    if (start_executors(worker, err) < 0) {
        enter_phase(worker, WORKER_STOPPING);
        for (uint32_t i = 0; i < worker->executors_len; i++)
            thread_join(worker->executors[i].thread);
        goto undo;
    }
    start_reporters(worker);
    worker->heartbeat_pulse_us = clock_mono_us();
    thread_start_or_abort(&worker->heartbeat, "heartbeat", heartbeat_main, worker);
    thread_start_or_abort(&worker->canceller, "canceller", canceller_main, worker);
    thread_start_or_abort(&worker->fetcher, "fetcher", fetcher_main, worker);
    *ret = worker;
    return 0;

undo:
    worker_free(worker);
    return -1;
}

uint32_t worker_slots(const struct worker *worker)
{
    return worker->executors_len;
}

uint64_t worker_stalled_us(const struct worker *worker)
{
    uint64_t fetcher_us = worker->fetcher_pulse_us, heartbeat_us = worker->heartbeat_pulse_us, now_us = clock_mono_us();
    uint64_t oldest_us = fetcher_us != 0 && fetcher_us < heartbeat_us ? fetcher_us : heartbeat_us;

    return oldest_us < now_us ? now_us - oldest_us : 0;
}

bool worker_is_broken(struct worker *worker)
{
    lock_guard(&worker->lock);
    return worker->no_slot_since_us != 0 && worker->steps_running == 0 &&
           (sandbox_is_gone(worker->sandbox) ||
            clock_mono_us() - worker->no_slot_since_us > worker->config->sandbox_exit_s * 1000000);
}

size_t worker_images_broken(struct worker *worker)
{
    lock_guard(&worker->lock);
    return worker->images_broken;
}

bool worker_is_ready(struct worker *worker, struct error *err)
{
    lock_guard(&worker->lock);
    if (worker->no_slot_since_us != 0)
        *err = worker->slot_error;
    return worker->no_slot_since_us == 0;
}

void worker_cancelled(struct worker *worker, const char token[TOKEN_BYTES])
{
    lock_guard(&worker->lock);
    for (struct job *job = worker->jobs; job != NULL; job = job->next)
        if (strcmp(job->token, token) == 0 && job->end != JOB_ABANDON)
            worker_abort_job(worker, job, JOB_ABANDON);
}

/* The fetcher may be about to sleep in store_claim when store_wake is called.  So it is woken until it has exited. */
void worker_drain(struct worker *worker)
{
    bool done = false;

    if (worker == NULL || worker->phase != WORKER_RUNNING)
        return;
    mutex_lock(&worker->lock);
    worker_set_phase(worker, WORKER_NO_CLAIMS);
    for (struct job *job = worker->jobs; job != NULL; job = job->next)
        if (job->end == JOB_COMPLETE && !job->started && !job->with_reporter)
            worker_abort_job(worker, job, JOB_RELEASE); /* it can start elsewhere */
    mutex_unlock(&worker->lock);
    while (!done) {
        store_wake(worker->store);
        lock_guard(&worker->lock);
        if (!worker->fetcher_done)
            (void)cond_wait_for(&worker->progress, &worker->lock, WAKE_AGAIN_US);
        done = worker->fetcher_done;
    }
    thread_join(worker->fetcher);
}

static void wait_for_jobs(struct worker *worker, uint64_t deadline_us)
{
    lock_guard(&worker->lock);
    while (worker->jobs_len > 0 && cond_wait_until(&worker->progress, &worker->lock, deadline_us))
        ;
    if (worker->jobs_len > 0)
        log_warn("%zu submissions still run at the end of the drain; releasing them", worker->jobs_len);
    worker_set_phase(worker, WORKER_NO_RETRY);
    worker_abort_all(worker, JOB_RELEASE);
    while (worker->jobs_len > 0)
        cond_wait(&worker->progress, &worker->lock);
    worker_set_phase(worker, WORKER_STOPPING);
}

void worker_stop(struct worker *worker, uint64_t deadline_us)
{
    struct error err;

    if (worker == NULL)
        return;
    worker_drain(worker);
    wait_for_jobs(worker, deadline_us);
    for (uint32_t i = 0; i < worker->executors_len; i++)
        thread_join(worker->executors[i].thread);
    for (uint32_t i = 0; i < worker->reporters_len; i++)
        thread_join(worker->reporters[i]);
    thread_join(worker->heartbeat);
    thread_join(worker->canceller);
    if (store_forget_worker(worker->store, worker->name, &err) < 0)
        log_warn("cannot remove this worker from the store: %s", err.text);
}
