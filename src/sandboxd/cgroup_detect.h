/* cgroup_detect: which cgroup version this host uses, and where its hierarchies are mounted. */
#pragma once
#include <stdbool.h>

#include "sandboxd/cgroup.h"

/* Folders of a mounted hierarchy. */
struct cgroup_hierarchy {
    int own;         /* the group of this process */
    int top;         /* the top of what is mounted */
    bool own_is_top; /* the group of this process is the top, or is not below the mount */
};

/*
 * CGROUP_V2 if a cgroup2 hierarchy with the controllers memory and pids is mounted, and *ret is open then; CGROUP_V1
 * otherwise.  A hybrid host, where cgroup2 is mounted without controllers, counts as v1.
 */
enum cgroup_mode cgroup_detect_mode(struct cgroup_hierarchy *ret);

/*
 * Opens the hierarchy of a v1 controller ("memory", "pids", "cpuacct"), or of v2 (""), which the caller closes.
 * -1 with errno; ENOENT: this host has not mounted it.
 */
int cgroup_hierarchy_open(const char *controller, struct cgroup_hierarchy *ret);
void cgroup_hierarchy_close(struct cgroup_hierarchy *hierarchy);
