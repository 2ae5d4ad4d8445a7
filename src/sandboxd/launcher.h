/* launcher: the process that serves the control socket (protocol.h).  The supervisor forks it, and again if it dies. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sandboxd/cgroup.h"
#include "sandboxd/isolate_command.h"
#include "sandboxd/seccomp_filter.h"

/* How long to wait for killed processes to leave their cgroups. */
#define CLEAN_UP_MS 2000u

struct launcher_settings {
    uint64_t uid_base;
    const char *images_folder;
    bool pin;
    struct cgroup tree;
    struct seccomp_filters filters;
    struct isolate isolate; /* its command is NULL for the native backend */
};

/* Sends hello, serves until the worker is gone, kills all slots.  Returns the exit status. */
int launcher_main(const struct launcher_settings *settings, int control);

/* Sends the first message on the control socket: the error, or if err is NULL the cgroup version and the backend. */
void launcher_hello(int control, const struct launcher_settings *settings, const struct error *err);
