/* floor_namespaces: see floor_namespaces.c.  As root; a failure ends the process. */
#pragma once
#include <sys/types.h>

/* Once in each process that starts programs. */
void namespaces_prepare(void);
/* -1 with errno, or the program's pid: to be waited for, and then namespaces_end. */
pid_t namespaces_start(char *const argv[], int output);
void namespaces_end(void);
