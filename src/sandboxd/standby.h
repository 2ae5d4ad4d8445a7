/*
 * standby: a box made before its request (init_process.h describes its two processes).
 *
 * The slot makes it to the specification of its last run.  If the next request needs another kind of box, that one is
 * made when the request arrives.  Everything that a request decides (files, words, streams, limits) reaches the box as
 * an exec request, after which the box belongs to that run.  A box is used once.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "sandboxd/cgroup.h"
#include "sandboxd/rootfs.h"
#include "sandboxd/seccomp_filter.h"

/* The properties of a box that are fixed when it is made. */
struct standby_spec {
    struct image *image; /* assembled; NULL: no box */
    uint64_t disk_bytes;
    uint32_t class;
    bool has_loopback;         /* a new network, with the loopback interface up */
    bool denied_syscalls_kill; /* a denied syscall ends the run */
    uint64_t cached_exec;      /* number of the cached executable in it (exec_cache.h); 0: none */
    const char *cached_name;   /* its name in the box */
};

/* What else is needed to make a box.  All of it is borrowed. */
struct standby_context {
    const struct cgroup_run *run;
    const struct seccomp_filters *filters;
    bool has_landlock; /* of landlock_is_available */
    int network_ns;
    int exec_stub; /* of exec_stub_open */
    int probe;     /* executable for a self-test, or -1 */
    uid_t uid;     /* of the program */
};

struct standby {
    struct standby_spec spec; /* image NULL: there is no standby box */
    uid_t uid;
    pid_t init;
    int pidfd, request_socket, report;
    int notify_socket; /* receives the listener for denied syscalls, or -1 */
};

/* Can this box serve a run with this spec?  One without a cached executable serves a run that could have one, too. */
bool standby_fits(const struct standby *standby, const struct standby_spec *spec);

/* Starts the box's init in the run's group.  A step that fails later is reported through `report`. */
int standby_make(const struct standby_spec *spec, const struct standby_context *context, struct standby *ret,
                 struct error *err);

/* Kills the box and waits for its end.  Does nothing if there is none. */
void standby_drop(struct standby *standby);
