/*
 * slot: the root-side process that runs one program after another.
 *
 * A slot keeps its empty network namespace, its range of user ids and its cgroup for its whole life.  Everything else
 * is made anew for every run.  It does one thing at a time: wait for a request, run it, answer.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "sandboxd/cgroup.h"
#include "sandboxd/isolate_command.h"
#include "sandboxd/rootfs.h"
#include "sandboxd/seccomp_filter.h"

/* A slot has the user ids from uid_base + number * SLOT_UIDS on.  Its runs use them in turn, each run a new one. */
#define SLOT_UIDS 1000u

struct slot_settings {
    uint32_t number;
    bool pin; /* its runs have one processor, which they cannot leave */
    uint32_t uid_first;
    const char *images_folder;
    struct image *images; /* the slot's own copy, as it is a forked process */
    size_t images_len;
    const struct seccomp_filters *filters;
    struct cgroup group;
    const struct isolate *isolate; /* NULL: the native backend */
    uint32_t isolate_box;          /* the slot's box of isolate */
};

/*
 * The whole life of the process.  `socket` is its end of the slot socket.  Ends when the worker closes the other end.
 */
_Noreturn void slot_main(const struct slot_settings *settings, int socket);
