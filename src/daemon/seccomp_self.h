/*
 * seccomp_self: the filter the API and the worker put on themselves.
 *
 * They hold no capability; the filter takes away what an attacker inside them would reach for next: starting a program,
 * looking into other processes, namespaces and mounts, and the parts of the kernel they never use.
 */
#pragma once
#include "base/error.h"

/*
 * For this process and all its threads, for good.  Call it after the launcher has been started and privileges have been
 * dropped (no_new_privs must be set).  Refused calls answer EPERM.
 */
int seccomp_self_confine(struct error *err);
