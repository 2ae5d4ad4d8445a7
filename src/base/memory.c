/*
 * memory: reads /proc/meminfo and the limit files of all groups above this process.
 *
 * In a container /sys/fs/cgroup may show the container's own group as the root, while /proc/self/cgroup has a path that
 * does not exist there.  So each path is tried from its full length down to the root.
 */
#include "base/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PATH_BYTES 4096

/* The number at the start of the file, after `name` if that is not "". */
static bool read_number(const char *path, const char *name, uint64_t *ret)
{
    FILE *file = fopen(path, "re");
    char line[256];
    bool found = false;

    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strncmp(line, name, strlen(name)) == 0 && sscanf(line + strlen(name), "%" SCNu64, ret) == 1;
    (void)fclose(file);
    return found;
}

/* The lowest number in `file` of the folder root + path and of those above it, up to `root`. */
static uint64_t lowest_above(const char *root, char *path, const char *file)
{
    char name[PATH_BYTES + 64];
    uint64_t lowest = UINT64_MAX, found;

    for (;;) {
        int len = snprintf(name, sizeof name, "%s%s/%s", root, path, file);
        if (len > 0 && (size_t)len < sizeof name && read_number(name, "", &found) && found < lowest)
            lowest = found;
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return lowest;
        *slash = '\0';
    }
}

static uint64_t group_limit(void)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[PATH_BYTES];
    uint64_t lowest = UINT64_MAX;

    if (file == NULL)
        return lowest;
    while (fgets(line, sizeof line, file) != NULL) { /* "4:memory:/path" in v1, "0::/path" in v2 */
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        uint64_t limit = UINT64_MAX;
        if (strcmp(controllers, ":memory") == 0)
            limit = lowest_above("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
        else if (strcmp(controllers, ":") == 0)
            limit = lowest_above("/sys/fs/cgroup", path, "memory.max");
        lowest = limit < lowest ? limit : lowest;
    }
    (void)fclose(file);
    return lowest;
}

uint64_t memory_limit(void)
{
    uint64_t group = group_limit(), machine_kib;

    if (read_number("/proc/meminfo", "MemTotal:", &machine_kib) && machine_kib * 1024 < group)
        return machine_kib * 1024;
    return group;
}

uint64_t memory_budget(uint64_t most)
{
    uint64_t part = memory_limit() / 8;

    return part < most ? part : most;
}
