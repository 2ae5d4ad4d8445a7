/*
 * seccomp_filter: which system calls a program may make.  All run classes have the same filter today.
 *
 * The filters are built once by the launcher with libseccomp, which is not async-signal-safe, and kept as plain BPF.
 * The processes of a run load them with the raw system call.  docs/design/SANDBOX.md says why each call is denied.
 */
#pragma once
#include <linux/filter.h>
#include <stdbool.h>

#include "base/error.h"
#include "sandbox/protocol.h"

/*
 * Loading a long filter costs a run more than its namespaces do, and both init and the program need it.  So a slot
 * loads the part that the root side itself never needs once, for good (`slot`), and its runs inherit it.  Their
 * processes then load only the rest, the calls needed to make a box (`box`).  A slot that has not loaded its part uses
 * `full`, and so does one whose runs use `notify`, which has to be one filter.
 */
struct seccomp_filters {
    struct sock_fprog slot;
    struct sock_fprog box[RUN_CLASS_COUNT_];
    struct sock_fprog full[RUN_CLASS_COUNT_];
    struct sock_fprog notify[RUN_CLASS_COUNT_]; /* as full, but a listener receives the calls that end a run */
};

/*
 * Builds all of them, before the first slot.  They live as long as the launcher.  pin: programs keep their processor.
 */
int seccomp_filters_build(bool pin, struct seccomp_filters *ret, struct error *err);

/* System calls only.  The caller has no_new_privs or CAP_SYS_ADMIN.  0 or errno. */
int seccomp_filter_load(const struct sock_fprog *program);
/* Loads a notify filter: a denied call blocks until the holder of the listener has killed the caller.  0 or errno. */
int seccomp_filter_load_notify(const struct sock_fprog *program, int *ret_listener);
/* Receives the number of a denied call that is blocked at the listener.  -1 with errno: none. */
int seccomp_listener_receive(int listener);
