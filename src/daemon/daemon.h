/*
 * daemon: `evalx server` and `evalx worker` as one call each, from a loaded configuration to the end of the process.
 *
 *   start:  sandbox (root, no thread yet) -> data folder -> root dropped -> store -> worker -> HTTP
 *   stop:   HTTP drains -> worker drains -> store -> sandbox; both drains share one deadline
 *
 * Call these before any thread exists.  They permanently change the process: its user, signal mask and seccomp filter.
 */
#pragma once
#include "config/config.h"
#include "model/language.h"
#include "sandbox/sandbox.h"

/*
 * Runs the HTTP API until SIGTERM or SIGINT, then drains and stops all parts.  Without a Redis in `config` it also runs
 * submissions, which needs root at the start.  Returns 0 after a clean stop, or -1 with *err if the start failed or the
 * daemon could not continue; it has stopped everything then, too.  `languages` is borrowed, and its require_available
 * is set.
 */
int daemon_run_server(const struct config *config, struct languages *languages, struct error *err);

/* Runs submissions from the Redis in `config`, which must have one; needs root at the start.  Otherwise as above. */
int daemon_run_worker(const struct config *config, struct languages *languages, struct error *err);

/* Starts the sandbox as `config` describes it.  As root, before threads; sandbox_stop ends it. */
int daemon_start_sandbox(const struct config *config, struct sandbox **ret, struct error *err);
