/*
 * cgroup_file: the small files of a cgroup folder, read and written without stdio, and the ways to end what is in it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

int cgroup_file_open(int dir, const char *knob, int flags, struct error *err);
int cgroup_file_write(int dir, const char *knob, uint64_t value, struct error *err);
int cgroup_file_write_text(int dir, const char *knob, const char *text, struct error *err);
/* Whole content, NUL-terminated, cut at size - 1.  -1 with errno. */
int cgroup_file_read(int dir, const char *knob, char *into, size_t size);
/*
 * The number behind `key ` at a line's start, or with key NULL the first number, over an open descriptor from its
 * beginning; 0 if it is not there ("max" counts as UINT64_MAX).
 */
uint64_t cgroup_fd_number(int fd, const char *key);

/* SIGKILL to all processes listed in dir/cgroup.procs.  Returns how many it met. */
unsigned cgroup_kill_members(int dir);
/* All of them, this process too, into the group `to`. */
void cgroup_move_members(int dir, int to);
/* Kills and removes the groups below `dir`, deepest first, but the one named `spare` (NULL: none is spared).  Returns
 * how many groups stayed. */
unsigned cgroup_clear_children(int dir, const char *spare);
