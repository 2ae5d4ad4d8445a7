/*
 * executor_slot: the sandbox slot of an executor.  See worker_internal.h for what is proven when.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "metrics/metrics.h"
#include "sandbox/self_test.h"
#include "worker/worker_internal.h"

/* With the lock held: whether it counts in slots_open.  It still does while its slot is proven in another image. */
static bool counts(const struct executor *executor)
{
    return executor->proven == executor->worker->sandbox_failures;
}

/* With the lock held. */
static void count_no_more(struct executor *executor)
{
    if (counts(executor))
        executor->worker->slots_open--;
    executor->proven = NEVER_PROVEN;
}

/* With the lock held: from now on the store, /readyz and the metrics report `slots_open`. */
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

static void close_slot(struct executor *executor)
{
    mutex_lock(&executor->worker->lock);
    struct sandbox_slot *slot = executor->slot;
    executor->slot = NULL;
    mutex_unlock(&executor->worker->lock);
    sandbox_slot_close(slot);
}

/* Opens the slot if it is not open, and runs the self-test in it unless `image` is NULL.  After -1 it is closed. */
static int open_and_test(struct executor *executor, const char *image, struct error *err)
{
    struct worker *worker = executor->worker;
    struct sandbox_slot *slot = executor->slot;

    /* A slot only knows the images that were named before it was opened. */
    if (slot == NULL && ((image != NULL && sandbox_image(worker->sandbox, image, err) < 0) ||
                         sandbox_slot_open(worker->sandbox, executor->number, &slot, err) < 0))
        return -1;
    bool passed = image == NULL || self_test_slot(worker->sandbox, slot, image, err) == 0;
    mutex_lock(&worker->lock);
    executor->slot = passed ? slot : NULL;
    mutex_unlock(&worker->lock);
    if (!passed)
        sandbox_slot_close(slot);
    return passed ? 0 : -1;
}

/*
 * Opens the slot if it is not open, and proves it: in the image of the run that failed last, if there is one.  If only
 * that image is broken, the slot passes in another.
 */
static int open_and_prove(struct executor *executor, struct error *err)
{
    struct worker *worker = executor->worker;
    struct error failure;

    mutex_lock(&worker->lock);
    uint64_t failures = worker->sandbox_failures;
    const char *image = worker->probe_image, *other = image != NULL ? worker_image_other(worker, image) : NULL;
    mutex_unlock(&worker->lock);
    bool passed = open_and_test(executor, image, &failure) == 0;
    if (!passed && other == NULL)
        *err = failure;
    if (!passed && (other == NULL || open_and_test(executor, other, err) < 0))
        return -1;

    lock_guard(&worker->lock);
    if (image != NULL)
        worker_image_tested(worker, image, passed ? NULL : &failure);
    if (failures == worker->sandbox_failures && !counts(executor)) {
        worker->slots_open++;
        cond_signal(&worker->capacity_freed);
        note_slots(worker);
    }
    executor->proven = failures;
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
    count_no_more(executor);
    if (worker->slots_open == 0)
        note_slots(worker);
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
        bool stops = worker->phase == WORKER_STOPPING, proven = executor->slot != NULL && counts(executor);
        bool retests = executor->image_tests != worker->image_tests;
        executor->image_tests = worker->image_tests;
        mutex_unlock(&worker->lock);
        if (stops || (proven && !retests))
            return !stops;
        if (retests) /* the open slot may not know the image */
            close_slot(executor);
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

    close_slot(executor);
    lock_guard(&worker->lock);
    count_no_more(executor);
}
