/*
 * executor_slot: the sandbox slot of an executor.  See worker_internal.h for what is proven when.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "metrics/metrics.h"
#include "sandbox/self_test.h"
#include "worker/worker_internal.h"

/* With the lock held. */
static bool is_proven(const struct executor *executor)
{
    return executor->slot != NULL && executor->proven == executor->worker->sandbox_failures;
}

/* With the lock held: from now on the store, /readyz and the metrics say what `slots_open` says. */
static void note_slots(struct worker *worker)
{
    bool works = worker->slots_open > 0;

    if (works == (worker->no_slot_since_us == 0))
        return;
    if (works) {
        log_info("the sandbox works again after %" PRIu64 " ms; claiming submissions",
                 (clock_mono_us() - worker->no_slot_since_us) / 1000);
        worker->no_slot_since_us = 0;
        worker->self_test_failed = false;
        cond_signal(&worker->capacity_freed);
    } else {
        worker->no_slot_since_us = clock_mono_us();
    }
    metrics_sandbox(works);
    worker->beat_now = true;
    cond_signal(&worker->heartbeat_due);
}

void worker_sandbox_failed(struct worker *worker, const char *image, const struct error *reason)
{
    if (worker->no_slot_since_us == 0)
        log_error("the sandbox failed: %s; no submission is claimed until it passes its self-test", reason->text);
    worker->sandbox_failures++;
    worker->slots_open = 0;
    worker->probe_image = image;
    worker->slot_error = *reason;
    note_slots(worker);
    cond_broadcast(&worker->step_ready);
}

/* Opens the slot if it is not open, and runs the self-test in it if the sandbox has failed before. */
static int open_and_prove(struct executor *executor, struct error *err)
{
    struct worker *worker = executor->worker;
    struct sandbox_slot *slot = executor->slot;

    mutex_lock(&worker->lock);
    uint64_t failures = worker->sandbox_failures;
    const char *image = worker->probe_image;
    mutex_unlock(&worker->lock);
    if (slot == NULL && sandbox_slot_open(worker->sandbox, executor->number, &slot, err) < 0)
        return -1;
    if (failures > 0 && self_test_slot(worker->sandbox, slot, image, err) < 0) {
        mutex_lock(&worker->lock);
        executor->slot = NULL;
        mutex_unlock(&worker->lock);
        sandbox_slot_close(slot);
        return -1;
    }

    lock_guard(&worker->lock);
    executor->slot = slot;
    executor->proven = failures;
    if (failures == worker->sandbox_failures) {
        worker->slots_open++;
        cond_signal(&worker->capacity_freed);
        note_slots(worker);
    }
    return 0;
}

int executor_slot_try(struct executor *executor)
{
    struct worker *worker = executor->worker;
    struct error err;

    if (open_and_prove(executor, &err) == 0)
        return 0;
    lock_guard(&worker->lock);
    worker->slot_error = err;
    if (!worker->self_test_failed && worker->slots_open == 0) {
        worker->self_test_failed = true; /* the heartbeat thread releases the jobs */
        cond_signal(&worker->heartbeat_due);
    }
    return -1;
}

bool executor_slot_ready(struct executor *executor)
{
    struct worker *worker = executor->worker;

    for (uint32_t tries = 0;; tries++) {
        mutex_lock(&worker->lock);
        bool stops = worker->phase == WORKER_STOPPING, proven = is_proven(executor);
        mutex_unlock(&worker->lock);
        if (stops || proven)
            return !stops;
        if (executor_slot_try(executor) == 0) {
            if (tries > 0)
                log_info("executor-%u: its sandbox slot works again", executor->number);
            continue;
        }
        lock_guard(&worker->lock);
        if (tries == 0)
            log_error("executor-%u: its sandbox slot does not work: %s; retrying", executor->number,
                      worker->slot_error.text);
        if (worker->phase != WORKER_STOPPING)
            (void)cond_wait_for(&worker->retry_now, &worker->lock,
                                backoff_ms(tries + 1, BACKOFF_MIN_MS, BACKOFF_MAX_MS) * 1000);
    }
}

void executor_slot_close(struct executor *executor)
{
    struct worker *worker = executor->worker;

    mutex_lock(&worker->lock);
    struct sandbox_slot *slot = executor->slot;
    if (is_proven(executor))
        worker->slots_open--;
    executor->slot = NULL;
    mutex_unlock(&worker->lock);
    sandbox_slot_close(slot);
}
