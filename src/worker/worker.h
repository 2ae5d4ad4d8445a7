/*
 * worker: takes submissions from a store and runs them until told to stop.
 *
 * Threads: one claims (only as much as the slots can soon run), one a slot runs compiles and tests,
 * one sends heartbeats.  Tests of one submission run side by side on free slots.
 * A lost or cancelled lease stops its runs at once.
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

/* All arguments are borrowed until worker_stop.  The sandbox has been started; images are named by worker_start. */
int worker_start(const struct config *config, const struct languages *languages, struct sandbox *sandbox,
                 struct store *store, struct worker **ret, struct error *err);

/* No slot has had a working box for long, and none could be opened: only a new start, as root, can help. */
bool worker_is_broken(struct worker *worker);
/* How long ago the claimer or the keeper, whoever is the slower, last came round; both should within seconds. */
uint64_t worker_stalled_us(const struct worker *worker);
/* How many slots the worker has, once started. */
uint32_t worker_slots(const struct worker *worker);

/* What store_watch told: a submission was cancelled.  Any thread; returns at once. */
void worker_cancelled(struct worker *worker, const char token[TOKEN_BYTES]);

/* No new claims; waits up to drain_ms for what runs, hands back the rest, ends all threads, frees.  NULL is fine. */
void worker_stop(struct worker *worker, uint64_t drain_ms);
