/*
 * seccomp_filter: which system calls a program may make, by class.
 *
 * Built once by the launcher with libseccomp (which is not async-signal-safe), kept as plain BPF, loaded in each
 * run's processes by the raw system call.  docs/SANDBOX.md says why each call is refused.
 */
#pragma once
#include <linux/filter.h>
#include <stdbool.h>

#include "base/error.h"
#include "sandbox/protocol.h"

struct seccomp_filters {
    struct sock_fprog programs[SLOT_CLASS_COUNT_];
    struct sock_fprog strict[SLOT_CLASS_COUNT_]; /* the same, but a listener hears what no innocent program asks for */
};

/* All of them, before the first slot; they live as long as the launcher.  `pin`: programs keep their processor. */
int seccomp_filters_build(bool pin, struct seccomp_filters *ret, struct error *err);

/* In the child: system calls only.  no_new_privs has been set.  0 or errno. */
int seccomp_filter_load(const struct sock_fprog *program);
/* A strict one: the call waits until the listener's holder has ended the process.  0 or errno. */
int seccomp_filter_load_heard(const struct sock_fprog *program, int *ret_listener);
/* The number of the call that waits at the listener, or -1 if none does. */
int seccomp_filter_heard(int listener);
