/*
 * probe: what a program finds when it looks at the walls from inside.  For the self-test at every start, the launcher's
 * executable takes the program's place after all steps (child_setup.c), so what is tried is what programs get.
 *
 * Outside a box it finds no wall, and says so of each: that is how its tests know that it can see a wall missing.
 * Everything it tries is harmless where it is not refused.
 */
#pragma once

/* It writes so much memory, so that the root side can see that the run's group counts it. */
#define PROBE_MEMORY_BYTES (8u << 20)
/* More processes than this may not start beside it. */
#define PROBE_PROCESSES_MAX 8u
/* Descriptors it may at most be allowed. */
#define PROBE_OPEN_FILES_MAX 256u

/* One line on stdout for each wall that is missing: "wall: what was seen".  Returns how many there are. */
int probe_main(void);
