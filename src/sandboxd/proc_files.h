/*
 * proc_files: /proc/cpuinfo, /proc/meminfo and /proc/stat of boxes.
 *
 * Garbage collectors and runtimes count processors and memory by these files, and complain if there are none.  The
 * kernel's own files describe the host, so a box has files of ours in their place.  They show the processors of the
 * slot and the memory limit of the run, and all else in them is constant.
 *
 * The files are in the image's root (rootfs.h), in a folder for root only.  All boxes of the image in a slot share
 * them, one after the other, and cannot write to them.
 */
#pragma once
#include <stdint.h>

#define PROC_FILES 3
/* Their paths in a box. */
extern const char *const proc_files[PROC_FILES];

/* In the builder: makes the files below `root`.  *ret_meminfo is open for writing.  0 or errno. */
int proc_files_make(const char *root, int *ret_meminfo);
/* In the slot: what /proc/meminfo shows from now on.  Best effort: a run does not depend on it. */
void proc_files_set_memory(int meminfo, uint64_t bytes);
/*
 * In init, as root, in the image's mount namespace: mounts /proc, which then has these files and the box's own
 * processes, and nothing else.  0 or errno.
 */
int proc_files_mount(void);
