/*
 * self_test: the sandbox self-test at startup, which takes a few milliseconds.
 *
 * A probe (sandboxd/probe.h) runs in a box like any program and tries to do what programs must not be able to do.  The
 * cgroup of the run must also have counted the resources that the probe used.
 */
#pragma once
#include <stdint.h>

#include "sandbox/sandbox.h"

/*
 * Opens slot 0 and closes it again, so call it before slots are opened, and after sandbox_image.  On failure *err
 * (ERROR_SETUP) names the failed isolation checks, and nothing may be run on this host.
 */
int self_test_run(struct sandbox *sandbox, const char *image, uint64_t *ret_us, struct error *err);

/*
 * Runs the probe in an open slot, as a proof that the slot works again after a failure.  ERROR_SANDBOX if it does not.
 * A backend other than the native one has no probe: there an open slot is all the proof.
 */
int self_test_slot(struct sandbox *sandbox, struct sandbox_slot *slot, const char *image, struct error *err);

/* Evaluates the probe's outcome.  Pure.  `cgroup` is the result of sandbox_cgroup. */
int self_test_judge(const struct run_outcome *outcome, const char *cgroup, struct error *err);
