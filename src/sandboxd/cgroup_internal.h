/* cgroup_internal: what cgroup.c needs of cgroup_v1.c and cgroup_v2.c, and the reverse. */
#pragma once
#include "sandboxd/cgroup.h"
#include "sandboxd/cgroup_detect.h"

/* ---- cgroup.c ---- */

/* Makes the group `name` in the folder `parent` if it does not exist, and opens it. */
int cgroup_dir_open(int parent, const char *name, int *ret_dir, struct error *err);
/* A group below `parent` in each of the hierarchies in which parent->dirs[i] and group->parents[i] are set. */
void cgroup_init(const struct cgroup *parent, struct cgroup *group);
int cgroup_make(const struct cgroup *parent, struct cgroup *group, struct error *err);
/* Removes the trees of launchers of this pid namespace that are no longer alive. */
void cgroup_remove_stale_trees(int parent);

/* ---- cgroup_v1.c ---- */

int cgroup_v1_tree_open(struct cgroup *tree, struct error *err);
int cgroup_v1_shared_open(const struct cgroup *slot, struct cgroup_shared *ret, struct error *err);
/* Opens the files of a run that only v1 has. */
int cgroup_v1_run_open(struct cgroup_run *run, struct error *err);
int cgroup_v1_run_limit(struct cgroup_run *run, const struct limits *limits, struct error *err);
/* The peak of what the buffers of internet sockets took, which the peak of the memory lacks. */
uint64_t cgroup_v1_run_sockets_bytes(const struct cgroup_run *run);

/* ---- cgroup_v2.c ---- */

/* Takes one of the hierarchy's descriptors; the caller closes the rest. */
int cgroup_v2_tree_open(struct cgroup *tree, struct cgroup_hierarchy *hierarchy, struct error *err);
/* Moves the processes in CGROUP_MAIN back to the tree's parent.  Has no effect while a slot's group exists. */
void cgroup_v2_tree_leave(const struct cgroup *tree);
int cgroup_v2_slot_open(const struct cgroup *slot, struct error *err);
int cgroup_v2_run_limit(struct cgroup_run *run, const struct limits *limits, struct error *err);
