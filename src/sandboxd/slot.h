/*
 * slot: a prepared place for runs, one after the other, and the root process that keeps it.
 *
 * It has its own empty network namespace, its own range of user ids and its own cgroup, all kept for its life; every
 * run in it gets the rest fresh.  The process does one thing at a time: wait for a request, run it, answer.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "sandboxd/cgroup.h"
#include "sandboxd/isolate_command.h"
#include "sandboxd/rootfs.h"
#include "sandboxd/seccomp_filter.h"

/* A slot takes this many user ids from uid_base + slot * SLOT_UIDS, one after the other, a new one for each run. */
#define SLOT_UIDS 1000u

struct slot_settings {
    uint32_t number;
    bool pin; /* to one processor, which its runs cannot leave */
    uint32_t uid_first;
    const char *images_folder;
    struct image *images; /* the slot's own copy, as a forked process */
    size_t images_len;
    const struct seccomp_filters *filters;
    struct cgroup group;
    const struct isolate *isolate; /* NULL: the native driver */
    uint32_t isolate_box;          /* the slot's own number of isolate's */
};

/* The process's whole life; `socket` is its end of the line to the worker.  Ends when the worker closes the other. */
_Noreturn void slot_main(const struct slot_settings *settings, int socket);
