/*
 * self_test: proves at a start, in a few milliseconds, that the walls stand: the launcher's probe (sandboxd/probe.h)
 * runs in a box as any program would, and the run's group must have counted what it used.
 */
#pragma once
#include <stdint.h>

#include "sandbox/sandbox.h"

/*
 * Uses slot 0 and closes it again, so call it before boxes are opened.  The image has been named.  0, or *err
 * (ERROR_SETUP) with each wall that is missing; then nothing may be run here.
 */
int self_test_run(struct sandbox *sandbox, const char *image, uint64_t *ret_us, struct error *err);

/* Pure: what the probe's outcome means.  `cgroup` is sandbox_cgroup's word. */
int self_test_judge(const struct run_outcome *outcome, const char *cgroup, struct error *err);
