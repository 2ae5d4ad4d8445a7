/* self: see the header. */
#include "base/self.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

static char name[PATH_MAX] = "evalx";
static char images_tool[PATH_MAX + 40] = "evalx-images";

/* True if the first `evalx` on PATH is this program. */
static bool is_on_path(void)
{
    const char *path = getenv("PATH");
    struct stat self, other;

    if (path == NULL || stat("/proc/self/exe", &self) < 0)
        return false;
    for (const char *at = path; *at != '\0';) {
        char candidate[PATH_MAX];
        size_t len = strcspn(at, ":");
        (void)snprintf(candidate, sizeof candidate, "%.*s/evalx", (int)len, at);
        if (len > 0 && access(candidate, X_OK) == 0 && stat(candidate, &other) == 0)
            return self.st_dev == other.st_dev && self.st_ino == other.st_ino;
        at += len + (at[len] == ':');
    }
    return false;
}

void self_find(void)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);

    if (len <= 0)
        return;
    path[len] = '\0';
    if (!is_on_path())
        (void)snprintf(name, sizeof name, "%s", path);
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
    char tool[sizeof images_tool];
    (void)snprintf(tool, sizeof tool, "%s/deploy/images/evalx-images", path);
    if (access(tool, X_OK) == 0)
        (void)snprintf(images_tool, sizeof images_tool, "%s", tool);
}

const char *self_name(void)
{
    return name;
}

const char *self_images_tool(void)
{
    return images_tool;
}
