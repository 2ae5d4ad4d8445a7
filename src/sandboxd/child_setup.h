/*
 * child_setup: the steps of the process that becomes the program, and the pieces init shares with it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandboxd/init_process.h"

/* Takes all steps; returns only on failure: errno, which step, and where the report pipe is then. */
int child_setup(const struct box_plan *plan, uint32_t *ret_step, int *ret_report);
const char *child_setup_step_name(uint32_t step);
bool child_setup_needs_namespaces(uint32_t step); /* a user's own, with the rights in it */

/* No groups, then this group and user, for good, with the capabilities that making the program's process takes.  0 or
 * errno. */
int child_become(uid_t uid);
/* Bounding set, ambient, permitted, effective, inheritable: all empty.  0 or errno. */
int child_drop_capabilities(void);
