/*
 * launcher: the process that serves the control line (protocol.h).  Forked by the guardian, and again when it dies.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sandboxd/cgroup.h"
#include "sandboxd/isolate_command.h"
#include "sandboxd/seccomp_filter.h"

/* How long to wait for killed processes to leave their groups. */
#define CLEAN_UP_MS 2000u

struct launcher_settings {
    uint64_t uid_base;
    const char *images_folder;
    bool pin;
    struct cgroup tree;
    struct seccomp_filters filters;
    struct isolate isolate; /* its command is NULL where the driver is native */
};

/* Says hello, serves until the worker is gone, ends all slots.  Returns the exit status. */
int launcher_main(const struct launcher_settings *settings, int control);

/* The first message on the control line: what went wrong (err), or (NULL) that all is well, cgroup version, driver. */
void launcher_hello(int control, const struct launcher_settings *settings, const struct error *err);
