/*
 * cgroup_detect: see the header.
 *
 * /proc/self/mountinfo names the mounts.  A mount may show only a subtree of its hierarchy (mountinfo's field "root"),
 * while /proc/self/cgroup names the group of this process from the top of the hierarchy.  If that group is not below
 * the mounted subtree (a container may hide it), the top of the mount is used instead.
 */
#include "sandboxd/cgroup_detect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandboxd/cgroup_file.h"

#define PATH_BYTES 1024

/* Is the word in the comma-separated list? */
static bool is_listed(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += len)
        if ((at == list || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}

/* Finds the group of this process in the hierarchy of `controller`: the third field of /proc/self/cgroup. */
static int find_own_group(const char *controller, char ret[PATH_BYTES])
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
        if (controller[0] == '\0' ? list[0] == '\0' : is_listed(list, controller)) {
            (void)snprintf(ret, PATH_BYTES, "%s", path);
            found = 0;
        }
    }
    (void)fclose(file);
    return found;
}

/* Parses a line of mountinfo: "36 35 98:0 /root /mnt opts shared:1 - type source superopts". */
static bool is_mount_of(char *line, const char *controller, char **ret_root, char **ret_point)
{
    char *tail = strstr(line, " - ");
    if (tail == NULL)
        return false;
    *tail = '\0';
    char type[32], options[512];
    if (sscanf(tail + 3, "%31s %*s %511s", type, options) != 2)
        return false;
    if (controller[0] == '\0' ? strcmp(type, "cgroup2") != 0
                              : strcmp(type, "cgroup") != 0 || !is_listed(options, controller))
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
        if (is_mount_of(line, controller, &root, &point)) {
            (void)snprintf(ret_root, PATH_BYTES, "%s", root);
            (void)snprintf(ret_point, PATH_BYTES, "%s", point);
            found = 0;
        }
    }
    (void)fclose(file);
    return found;
}

int cgroup_hierarchy_open(const char *controller, struct cgroup_hierarchy *ret)
{
    char root[PATH_BYTES], point[PATH_BYTES], group[PATH_BYTES];
    if (find_mount(controller, root, point) < 0 || find_own_group(controller, group) < 0) {
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
    bool own_is_top = own < 0;
    if (own_is_top)
        own = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own < 0)
        return -1;
    *ret = (struct cgroup_hierarchy){ .own = own, .top = take_fd(&top), .own_is_top = own_is_top };
    return 0;
}

void cgroup_hierarchy_close(struct cgroup_hierarchy *hierarchy)
{
    cleanup_close(&hierarchy->own);
    cleanup_close(&hierarchy->top);
    hierarchy->own = hierarchy->top = -1;
}

enum cgroup_mode cgroup_detect_mode(struct cgroup_hierarchy *ret)
{
    if (cgroup_hierarchy_open("", ret) < 0)
        return CGROUP_V1;
    char controllers[256] = "";
    (void)cgroup_file_read(ret->top, "cgroup.controllers", controllers, sizeof controllers);
    if (strstr(controllers, "memory") != NULL && strstr(controllers, "pids") != NULL)
        return CGROUP_V2;
    cgroup_hierarchy_close(ret);
    return CGROUP_V1;
}
