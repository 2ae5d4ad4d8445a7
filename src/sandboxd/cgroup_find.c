/*
 * cgroup_find: where this host keeps its hierarchies, and the folder of the group this process lives in.
 *
 * A hierarchy's mount shows a subtree of it (field "root" of mountinfo); the group of this process is named from
 * the hierarchy's top.  Where that group is not below the mounted subtree (a container that hides it), the
 * mount's own top is the best there is.
 */
#include "sandboxd/cgroup_find.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PATH_BYTES 1024

/* One of a comma-separated list? */
static bool listed(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += len)
        if ((at == list || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}

/* The group of this process in the hierarchy of `controller` ("" for v2): the third field of /proc/self/cgroup. */
static int own_group(const char *controller, char ret[PATH_BYTES])
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL)
        return -1;
    char line[PATH_BYTES];
    int found = -1;
    while (found < 0 && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *list = strchr(line, ':');
        char *path = list == NULL ? NULL : strchr(list + 1, ':');
        if (path == NULL)
            continue;
        *path++ = '\0';
        list++;
        if (controller[0] == '\0' ? list[0] == '\0' : listed(list, controller)) {
            (void)snprintf(ret, PATH_BYTES, "%s", path);
            found = 0;
        }
    }
    (void)fclose(file);
    return found;
}

/* mountinfo: "36 35 98:0 /root /mnt opts shared:1 - type source superopts" */
static bool mount_matches(char *line, const char *controller, char **ret_root, char **ret_point)
{
    char *tail = strstr(line, " - ");
    if (tail == NULL)
        return false;
    *tail = '\0';
    char type[32], options[512];
    if (sscanf(tail + 3, "%31s %*s %511s", type, options) != 2)
        return false;
    if (controller[0] == '\0' ? strcmp(type, "cgroup2") != 0
                              : strcmp(type, "cgroup") != 0 || !listed(options, controller))
        return false;

    char *at = line;
    for (int field = 0; field < 3 && at != NULL; field++)
        at = strchr(at, ' ') == NULL ? NULL : strchr(at, ' ') + 1;
    if (at == NULL)
        return false;
    *ret_root = at;
    char *end = strchr(at, ' ');
    if (end == NULL)
        return false;
    *end = '\0';
    *ret_point = end + 1;
    end = strchr(*ret_point, ' ');
    if (end == NULL)
        return false;
    *end = '\0';
    return true;
}

static int find_mount(const char *controller, char ret_root[PATH_BYTES], char ret_point[PATH_BYTES])
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (file == NULL)
        return -1;
    char line[4 * PATH_BYTES];
    int found = -1;
    while (found < 0 && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *root, *point;
        if (mount_matches(line, controller, &root, &point)) {
            (void)snprintf(ret_root, PATH_BYTES, "%s", root);
            (void)snprintf(ret_point, PATH_BYTES, "%s", point);
            found = 0;
        }
    }
    (void)fclose(file);
    return found;
}

int cgroup_find(const char *controller, int *ret_own, int *ret_top, bool *ret_own_is_top)
{
    char root[PATH_BYTES], point[PATH_BYTES], group[PATH_BYTES];
    if (find_mount(controller, root, point) < 0 || own_group(controller, group) < 0) {
        errno = ENOENT;
        return -1;
    }
    auto_close int top = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return -1;

    const char *below = group;
    size_t root_len = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(group, root, root_len) == 0)
        below = group + root_len;
    while (*below == '/')
        below++;
    int own = *below == '\0' ? -1 : openat(top, below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *ret_own_is_top = own < 0;
    if (own < 0)
        own = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own < 0)
        return -1;
    *ret_own = own;
    *ret_top = take_fd(&top);
    return 0;
}
