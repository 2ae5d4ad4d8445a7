/* cgroup_file: reads and writes the files of a cgroup without stdio, and kills, moves and removes its members. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

int cgroup_file_open(int dir, const char *name, int flags, struct error *err);
int cgroup_file_write(int dir, const char *name, uint64_t value, struct error *err);
int cgroup_file_write_text(int dir, const char *name, const char *text, struct error *err);
/* Reads the whole content, NUL-terminated, cut at size - 1.  -1 with errno. */
int cgroup_file_read(int dir, const char *name, char *into, size_t size);
/*
 * Reads an open file from its beginning.  Returns the number after the key that begins a line, or the first number
 * if key is NULL.  0 if there is none; the word "max" is returned as UINT64_MAX.
 */
uint64_t cgroup_fd_number(int fd, const char *key);

/* Sends SIGKILL to all processes in dir/cgroup.procs.  Returns how many it found. */
unsigned cgroup_kill_members(int dir);
/* Moves all processes, this one included, to the group `to`. */
void cgroup_move_members(int dir, int to);
/*
 * Kills and removes the groups below `dir`, deepest first, except the one named `except` (may be NULL).  Returns how
 * many remained.
 */
unsigned cgroup_clear_children(int dir, const char *except);
