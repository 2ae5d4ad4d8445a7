/*
 * sandbox_backend: which driver the settings ask for, and where its command is.  Here, and not in the launcher, because
 * the launcher starts with an empty environment.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/sandbox_internal.h"

/* Empty and relative parts of PATH are passed over: what stands in the current folder is nobody's installation. */
static int find_on_path(const char *command, char ret_path[SANDBOX_PATH_BYTES])
{
    const char *part = getenv("PATH");
    if (part == NULL)
        part = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";
    for (const char *end; part != NULL; part = end != NULL ? end + 1 : NULL) {
        end = strchr(part, ':');
        size_t len = end != NULL ? (size_t)(end - part) : strlen(part);
        if (len == 0 || part[0] != '/' || len + 1 + strlen(command) >= SANDBOX_PATH_BYTES)
            continue;
        (void)snprintf(ret_path, SANDBOX_PATH_BYTES, "%.*s/%s", (int)len, part, command);
        if (access(ret_path, X_OK) == 0)
            return 0;
    }
    return -1;
}

int sandbox_backend_find(const struct sandbox_settings *settings, char ret_path[SANDBOX_PATH_BYTES], struct error *err)
{
    ret_path[0] = '\0';
    if (settings->driver == NULL || strcmp(settings->driver, "native") == 0)
        return 0;
    if (strcmp(settings->driver, "isolate") != 0)
        return error_set(err, ERROR_SETUP, 0, "driver %s is unknown: there are native and isolate", settings->driver);
    if (settings->denied_syscalls_kill)
        return error_set(err, ERROR_SETUP, 0,
                         "denied_syscalls=kill needs the native driver: isolate only answers them");
    if (settings->isolate == NULL || settings->isolate[0] == '\0')
        return find_on_path("isolate", ret_path) == 0
                   ? 0
                   : error_set(err, ERROR_SETUP, 0,
                               "driver isolate: no isolate on PATH (install isolate 2.x, or set EVALX_ISOLATE)");
    if (settings->isolate[0] != '/' || strlen(settings->isolate) >= SANDBOX_PATH_BYTES)
        return error_set(err, ERROR_SETUP, 0, "EVALX_ISOLATE must be an absolute path");
    (void)snprintf(ret_path, SANDBOX_PATH_BYTES, "%s", settings->isolate);
    return 0;
}
