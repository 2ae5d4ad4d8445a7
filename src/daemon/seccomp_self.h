/*
 * seccomp_self: the seccomp filter of the API and worker process itself.
 *
 * The process has no capabilities.  The filter also denies what an attacker inside it would try next: to start
 * programs, to inspect other processes, to create namespaces and mounts, and to use kernel features that evalx never
 * uses.
 */
#pragma once
#include "base/error.h"

/*
 * Permanently filters this process and all its threads.  Call it after the launcher has started and privileges have
 * been dropped (no_new_privs must be set).  Denied calls fail with EPERM.
 */
int seccomp_self_confine(struct error *err);
