/* child_setup: the steps of the process that becomes the program, and two that it shares with init and isolate. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandboxd/init_process.h"

/* Takes all steps, the last of which executes the exec stub.  If one fails it is reported and the process exits. */
_Noreturn void child_main(const struct box_plan *plan);
const char *child_step_name(uint32_t step);
/* Does the step need a user namespace, and rights in it? */
bool child_step_needs_namespaces(uint32_t step);

/*
 * Drops all groups and switches to this user and group for good.  Keeps only the two capabilities that starting the
 * program's process needs.  0 or errno.
 */
int child_switch_user(uid_t uid);
/* Empties all sets: bounding, ambient, permitted, effective, inheritable.  0 or errno. */
int child_drop_capabilities(void);
