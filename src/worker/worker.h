/*
 * worker: claims submissions from a store and runs them until it is stopped.
 *
 * A fetcher thread claims only as many as the executors can soon run.  Each executor thread drives one sandbox slot,
 * and the tests of one submission run in parallel on free slots.  A lost or cancelled lease stops its runs at once.
 * daemon/threads.h lists all threads.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "config/config.h"
#include "model/language.h"
#include "queue/queue.h"
#include "sandbox/sandbox.h"

struct worker;

/*
 * Registers the languages' images with the sandbox, which must have been started, and starts all threads.
 * Returns when every executor has tried to open its slot.  It is an error if none could.
 * All arguments are borrowed until worker_free.
 */
int worker_start(const struct config *config, const struct languages *languages, struct sandbox *sandbox,
                 struct store *store, struct worker **ret, struct error *err);

/* How many images are broken.  The worker does not serve their languages. */
size_t worker_images_broken(struct worker *worker);
/* False, with the reason in *err, while no slot works: the worker claims nothing until one passes the self-test. */
bool worker_is_ready(struct worker *worker, struct error *err);
/* True if that has lasted for sandbox_exit_s, or cannot end.  Only a restart as root can help then. */
bool worker_is_broken(struct worker *worker);
/*
 * Time since the fetcher or the heartbeat thread, whichever is slower, last began a round.  More than some seconds mean
 * that it hangs.
 */
uint64_t worker_stalled_us(const struct worker *worker);
/* The number of slots that a worker with this configuration has: by default, one per processor. */
uint32_t worker_slots_wanted(const struct config *config);
/* The number of slots, open or not. */
uint32_t worker_slots(const struct worker *worker);

/* For the callback of store_watch: this submission was cancelled.  Any thread; returns at once. */
void worker_cancelled(struct worker *worker, const char token[TOKEN_BYTES]);

/*
 * Stops claiming and returns once the fetcher has exited.  The jobs that have started go on, the others are released.
 * NULL is fine.
 */
void worker_drain(struct worker *worker);
/*
 * Drains, waits for the jobs until deadline_us (sync_now_us), releases the rest to other workers and joins all threads.
 * worker_cancelled may still be called, until worker_free.  NULL is fine.
 */
void worker_stop(struct worker *worker, uint64_t deadline_us);
/* After worker_stop.  NULL is fine. */
void worker_free(struct worker *worker);
