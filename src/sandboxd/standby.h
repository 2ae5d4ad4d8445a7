/*
 * ahead: the box of a slot's next run, made before there is a request for it (see stage.h for its two processes).
 *
 * It is made for what the last request asked for; another kind of run gets one made then and there.  Whatever a request
 * decides (files, words, streams, limits) reaches it as an order, after which it is the run's and used once.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "sandboxd/cgroup.h"
#include "sandboxd/rootfs.h"
#include "sandboxd/seccomp_filter.h"

/* What a box is made for. */
struct standby_kind {
    struct image *image; /* assembled */
    uint64_t disk_bytes;
    uint32_t class;
    bool denied_ends;
    uint64_t exec_cached; /* the number of the program that is in it already (shelf.h); 0: none */
    const char *program;  /* what that is called in the box */
};

struct standby {
    struct standby_kind kind; /* image NULL: none is there */
    pid_t init;
    int pidfd, line, report, notify; /* refusals: where the listener of refused calls will arrive, or -1 */
};

/* Is one there, made for this kind?  One without a program does where there could be one. */
bool standby_fits(const struct standby *standby, const struct standby_kind *kind);

/*
 * Starts the box's first process, in the run's group; what fails in it later is told through `report`.  `stands`: the
 * caller has loaded the standing filter.  `probe`: the executable of a self-test, or -1.  `network`: the namespace the
 * box stands in; `threshold`: exec_stub_open's; `uid`: the program's.
 */
int standby_make(const struct standby_kind *kind, const struct cgroup_run *run, const struct seccomp_filters *filters,
                 bool stands, int network, int exec_stub, uid_t uid, int probe, struct standby *ret, struct error *err);

/* Ends the box and waits for its end; nothing is left.  One that is not there is fine. */
void standby_drop(struct standby *standby);
