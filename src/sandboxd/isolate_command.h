/*
 * isolate_command: the isolate command (isolate 2.x, https://github.com/ioi/isolate): examined once, then started for
 * each step of a box, with an empty environment.
 *
 * The numbers of isolate's boxes are global to the machine, and two evalx must not use the same one.  A number is
 * claimed by binding an abstract socket named after it, which the kernel releases however the holder dies.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct isolate {
    const char *command; /* absolute path; NULL: the native backend */
    char version[32];    /* such as "2.6" */
    bool cg;             /* --cg: isolate uses cgroups of its own, because this launcher has none */
};

/* Short enough for isolate's own buffers: 1024 bytes with what it appends. */
#define ISOLATE_PATH_BYTES 512

/*
 * Checks that the version is 2 and that a box can be made and removed.  has_groups: the launcher's cgroups limit and
 * measure the runs.  Without them isolate's --cg is tried.
 */
int isolate_probe(const char *command, bool has_groups, struct isolate *ret, struct error *err);

/* Claims the first free box number from `first` on.  Returns the descriptor that holds the claim, or -1. */
int isolate_claim_box(uint32_t first, uint32_t *ret_isolate_box, struct error *err);

/* isolate --init: empties the box and stores the path of its folder. */
int isolate_init(const struct isolate *isolate, uint32_t isolate_box, char folder[ISOLATE_PATH_BYTES],
                 struct error *err);
/* isolate --cleanup: removes the box. */
int isolate_cleanup(const struct isolate *isolate, uint32_t isolate_box, struct error *err);

/*
 * Called in a child before it executes isolate: resets the signals, joins a new session keyring, and marks all
 * descriptors but 0, 1 and 2 close-on-exec.  0 or errno.
 */
int isolate_before_exec(void);
