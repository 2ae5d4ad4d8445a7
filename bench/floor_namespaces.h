/* floor_namespaces: see floor_namespaces.c.  As root; a failure ends the process. */
#pragma once
#include <sys/types.h>

/* Once in each process that starts programs. */
void walls_prepare(void);
/* -1 with errno, or the program's pid: to be waited for, and then walls_end. */
pid_t walls_start(char *const argv[], int output);
void walls_end(void);
