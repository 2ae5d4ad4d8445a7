/*
 * isolate_command: the isolate command (isolate 2.x, https://github.com/ioi/isolate) as the root side uses it: found
 * out about once, started for each step of a box, with an environment that holds nothing.
 *
 * Boxes of isolate have numbers that hold for the whole machine.  Two evalx must not take the same one, so a number is
 * claimed by binding an abstract socket of its name: the kernel lets go of it when its holder dies, however it dies.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct isolate {
    const char *command; /* absolute path; NULL: this launcher's driver is native */
    char version[32];    /* as isolate says it: "2.6" */
    bool cg;             /* --cg: isolate keeps control groups of its own, because this launcher has none */
};

/* A path of isolate's, kept short enough for its own buffers (1024 bytes with what it appends). */
#define ISOLATE_PATH_BYTES 512

/*
 * Asks for the version, which must be 2, and makes and removes a box.  `has_groups`: the launcher has cgroups of its
 * own, which limit and measure isolate's runs too; where it has not, isolate's --cg is tried.
 */
int isolate_probe(const char *command, bool has_groups, struct isolate *ret, struct error *err);

/* The first free number from `first` on.  Returns a descriptor that holds the claim, or -1. */
int isolate_claim(uint32_t first, uint32_t *ret_box, struct error *err);

/* isolate --init: the box is empty; *folder is where it stands. */
int isolate_init(const struct isolate *isolate, uint32_t box, char folder[ISOLATE_PATH_BYTES], struct error *err);
/* isolate --cleanup: nothing of the box is left. */
int isolate_cleanup(const struct isolate *isolate, uint32_t box, struct error *err);

/*
 * In a child, right before it executes isolate: nothing of the slot's is inherited but descriptors 0, 1 and 2 (signals
 * that are held back, session keyring).  0 or errno.
 */
int isolate_before_exec(void);
