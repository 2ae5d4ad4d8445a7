/* cgroup_find: the folders of a hierarchy that matter here. */
#pragma once
#include <stdbool.h>

/*
 * `controller` "memory", "pids", "cpuacct" for v1, "" for v2.  *ret_own: the folder of this process's group,
 * *ret_top: the top of what is mounted; the caller closes both.  -1 with errno (ENOENT: this host has no such
 * hierarchy mounted).
 */
int cgroup_find(const char *controller, int *ret_own, int *ret_top, bool *ret_own_is_top);
