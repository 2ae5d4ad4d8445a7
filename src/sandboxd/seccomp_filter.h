/*
 * seccomp_filter: which system calls a program may make, by class.
 *
 * Built once by the launcher with libseccomp (which is not async-signal-safe), kept as plain BPF, loaded in each
 * run's processes by the raw system call.  docs/design/SANDBOX.md says why each call is refused.
 */
#pragma once
#include <linux/filter.h>
#include <stdbool.h>

#include "base/error.h"
#include "sandbox/protocol.h"

/*
 * Loading a long filter costs a run more than its namespaces do, and it happens twice, for init and for the program.
 * So a slot loads once, for good, what the root side does without (`standing`), and its runs inherit that; each of
 * their processes then only adds what making a box needed (`rest`).  A slot that has not done so, or must not, because
 * what is strict has to be one filter, uses whole ones.
 */
struct seccomp_filters {
    struct sock_fprog standing;
    struct sock_fprog rest[RUN_CLASS_COUNT_];
    struct sock_fprog whole[RUN_CLASS_COUNT_];
    struct sock_fprog strict[RUN_CLASS_COUNT_]; /* as whole, but a listener hears what no innocent program asks for */
};

/* All of them, before the first slot; they live as long as the launcher.  `pin`: programs keep their processor. */
int seccomp_filters_build(bool pin, struct seccomp_filters *ret, struct error *err);

/* System calls only.  no_new_privs has been set, or the caller has CAP_SYS_ADMIN.  0 or errno. */
int seccomp_filter_load(const struct sock_fprog *program);
/* A strict one: the call waits until the listener's holder has ended the process.  0 or errno. */
int seccomp_filter_load_heard(const struct sock_fprog *program, int *ret_listener);
/* The number of the call that waits at the listener, or -1 if none does. */
int seccomp_filter_heard(int listener);
