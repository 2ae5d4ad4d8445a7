/*
 * seccomp_filter: the filters of system calls, made from seccomp_table.h.
 *
 * The supervisor builds them once and keeps them as plain BPF.  The processes of a run load them with the raw system
 * call.  docs/design/SANDBOX.md describes what they allow.
 */
#pragma once
#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sandbox/protocol.h"

/*
 * Loading a long filter costs a run more than its namespaces do, and both init and the program need one.  So a slot
 * loads the filter of everything that it or any run may do once, for good (`slot`), and its runs inherit it.  Their
 * processes then load a short one, which takes away what this class of runs, or init, may not do.
 *
 * Runs with denied_syscalls=kill need a listener of their own, and a process can have only one.  Their slot loads no
 * filter, and their processes load a whole one.
 *
 * The second index: 1 if the run has a loopback network.
 */
struct seccomp_filters {
    struct sock_fprog slot;
    struct sock_fprog init;
    struct sock_fprog program[RUN_CLASS_COUNT_][2];
    struct sock_fprog whole_init;
    struct sock_fprog kill[RUN_CLASS_COUNT_][2];
};

/*
 * Builds all of them, before the first slot.  They live as long as the launcher.  pin: programs keep their processor.
 */
int seccomp_filters_build(bool pin, struct seccomp_filters *ret, struct error *err);

/* System calls only.  The caller has no_new_privs or CAP_SYS_ADMIN.  0 or errno. */
int seccomp_filter_load(const struct sock_fprog *program);
/*
 * Loads the slot's filter or one of `kill`.  A call that it reports blocks until the holder of the listener has killed
 * the caller.  0 or errno; EBUSY: there is a listener already, such as a container's.
 */
int seccomp_filter_load_notify(const struct sock_fprog *program, int *ret_listener);
/* Receives a call that is blocked at the listener: its number and architecture.  -1 with errno: none. */
int seccomp_listener_receive(int listener, uint32_t *ret_number, uint32_t *ret_arch);
/* Is it a call of another architecture, or of x32? */
bool seccomp_is_foreign(uint32_t number, uint32_t arch);
