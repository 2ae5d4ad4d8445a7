/*
 * cgroup_tree: the launcher's own group, above all slots: found or made, and removed with everything in it.
 *
 * Name: evalx-PIDNS-PID-START (inode of the pid namespace, process id, its start time), so that the next launcher can
 * tell a dead one's tree from a living neighbour's, also where several pid namespaces share the host's hierarchy.
 *
 * v2 allows no processes in a group whose children have controllers.  So either the group we were started in
 * holds nobody but us (systemd with Delegate=yes): then we and our parent, the worker, move down into tree/main, and at
 * the end up again: the worker may have more to do, and should end by itself, with its own exit status.  Or it holds
 * others (a login shell): then the tree stands at the top of the hierarchy, which root may do.  Where the top that we
 * see is our own group and not the hierarchy's (a container, whose process 1 the worker may be), nothing is above,
 * and all who are in it move down with us.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandboxd/cgroup.h"
#include "sandboxd/cgroup_file.h"
#include "sandboxd/cgroup_find.h"

static const char *const controllers_v1[CGROUP_CONTROLLERS] = { "memory", "pids", "cpuacct" };

/* Field 22 of /proc/PID/stat, counted behind the ")" that ends the name; 0 if there is no such process. */
static uint64_t start_time(uint64_t pid)
{
    char path[40], content[1024];
    (void)snprintf(path, sizeof path, "/proc/%" PRIu64 "/stat", pid);
    if (cgroup_file_read(AT_FDCWD, path, content, sizeof content) < 0)
        return 0;
    const char *at = strrchr(content, ')');
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at, ' ');
        if (at != NULL)
            at++;
    }
    uint64_t value = 0;
    for (; at != NULL && *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    return value;
}

static uint64_t pid_namespace(void)
{
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

/* Trees of launchers of this pid namespace that no longer live. */
static void remove_stale_trees(int parent)
{
    int listing = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = listing < 0 ? NULL : fdopendir(listing);
    if (entries == NULL) {
        if (listing >= 0)
            (void)close(listing);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(entries)) != NULL) {
        uint64_t space, pid, start;
        if (sscanf(entry->d_name, "evalx-%" SCNu64 "-%" SCNu64 "-%" SCNu64, &space, &pid, &start) != 3)
            continue;
        if (space != pid_namespace() || start_time(pid) == start)
            continue;
        auto_close int stale = openat(parent, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (stale < 0)
            continue;
        (void)cgroup_clear_children(stale, NULL);
        (void)unlinkat(parent, entry->d_name, AT_REMOVEDIR); /* stays if it is busy: the next start tries again */
    }
    (void)closedir(entries);
}

static int make_group(int parent, const char *name, int *ret_dir, struct error *err)
{
    if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
        return error_set(err, ERROR_SANDBOX, errno, "make cgroup %s", name);
    int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0) {
        (void)unlinkat(parent, name, AT_REMOVEDIR);
        return error_set(err, ERROR_SANDBOX, errno, "open cgroup %s", name);
    }
    *ret_dir = dir;
    return 0;
}

static int open_v1(struct cgroup *tree, struct error *err)
{
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        int own, top;
        bool own_is_top;
        if (cgroup_find(controllers_v1[i], &own, &top, &own_is_top) < 0)
            return error_set(err, ERROR_SETUP, errno,
                             "this host mounts no cgroup controller '%s'; boot with cgroup v2 "
                             "(systemd.unified_cgroup_hierarchy=1) or mount it below /sys/fs/cgroup",
                             controllers_v1[i]);
        remove_stale_trees(own);
        int made = make_group(own, tree->name, &tree->dirs[i], err);
        if (made < 0 && !own_is_top) {
            (void)close(own);
            own = top;
            top = -1;
            made = make_group(own, tree->name, &tree->dirs[i], err);
        }
        if (top >= 0)
            (void)close(top);
        if (made < 0) {
            (void)close(own);
            return error_within(err, "cgroup v1 controller %s", controllers_v1[i]);
        }
        tree->parents[i] = own;
    }
    tree->version = CGROUP_V1;
    return 0;
}

/* Does the group hold nobody but the launcher and its parent? */
static bool only_us(int dir)
{
    char content[4096];
    if (cgroup_file_read(dir, "cgroup.procs", content, sizeof content) < 0)
        return false;
    for (char *at = content; *at != '\0';) {
        unsigned long long pid;
        int used = 0;
        if (sscanf(at, "%llu%n", &pid, &used) != 1)
            break;
        if ((pid_t)pid != getpid() && (pid_t)pid != getppid())
            return false;
        at += used;
        while (*at == '\n' || *at == ' ')
            at++;
    }
    return true;
}

/* The members of `own`, the launcher and the worker among them, into a leaf of the tree. */
static int move_down(int own, int tree_dir, struct error *err)
{
    if (mkdirat(tree_dir, CGROUP_MAIN, 0755) < 0 && errno != EEXIST)
        return error_set(err, ERROR_SANDBOX, errno, "make cgroup " CGROUP_MAIN);
    auto_close int dir = openat(tree_dir, CGROUP_MAIN, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return error_set(err, ERROR_SANDBOX, errno, "open cgroup " CGROUP_MAIN);
    cgroup_move_members(own, dir);
    return 0;
}

static int open_v2(struct cgroup *tree, int own, int top, bool own_is_top, struct error *err)
{
    bool is_root = own_is_top && faccessat(top, "cgroup.type", F_OK, 0) < 0;
    bool below_own = own_is_top || only_us(own);
    int parent = below_own ? own : top;

    remove_stale_trees(parent);
    if (make_group(parent, tree->name, &tree->dirs[0], err) < 0)
        return -1;
    tree->parents[0] = parent;
    if (!is_root && below_own && move_down(own, tree->dirs[0], err) < 0)
        return -1;
    if (cgroup_file_write_text(parent, "cgroup.subtree_control", "+memory +pids", err) < 0 ||
        cgroup_file_write_text(tree->dirs[0], "cgroup.subtree_control", "+memory +pids", err) < 0) {
        err->kind = ERROR_SETUP;
        return error_within(err, "enable the memory and pids controllers (run evalx by its systemd unit, which has "
                                 "Delegate=yes, or as root outside a container)");
    }
    tree->version = CGROUP_V2;
    return 0;
}

int cgroup_tree_open(struct cgroup *tree, struct error *err)
{
    memset(tree, 0, sizeof *tree);
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        tree->dirs[i] = tree->parents[i] = -1;
    (void)snprintf(tree->name, sizeof tree->name, "evalx-%" PRIu64 "-%d-%" PRIu64, pid_namespace(), (int)getpid(),
                   start_time((uint64_t)getpid()));

    int own, top;
    bool own_is_top;
    if (cgroup_find("", &own, &top, &own_is_top) == 0) {
        char controllers[256] = "";
        (void)cgroup_file_read(top, "cgroup.controllers", controllers, sizeof controllers);
        if (strstr(controllers, "memory") != NULL && strstr(controllers, "pids") != NULL)
            return open_v2(tree, own, top, own_is_top, err);
        (void)close(own);
        (void)close(top);
    }
    return open_v1(tree, err);
}

static void pause_ms(long ms)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/*
 * The way back: the worker goes on living, and the group above the tree may hold processes only while it gives no
 * controllers to its children.  Fails, to be tried again, while a slot's group is still there.
 */
static void move_us_up(const struct cgroup *tree)
{
    struct error ignored;
    auto_close int dir = openat(tree->dirs[0], CGROUP_MAIN, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return; /* we never went down */
    if (cgroup_file_write_text(tree->dirs[0], "cgroup.subtree_control", "-memory -pids", &ignored) == 0 &&
        cgroup_file_write_text(tree->parents[0], "cgroup.subtree_control", "-memory -pids", &ignored) == 0)
        cgroup_move_members(dir, tree->parents[0]);
    (void)unlinkat(tree->dirs[0], CGROUP_MAIN, AT_REMOVEDIR);
}

int cgroup_tree_close(struct cgroup *tree, unsigned wait_ms)
{
    if (tree->version == CGROUP_NONE)
        return 0;
    for (unsigned waited = 0;; waited += 5) {
        unsigned stayed = 0;
        for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
            if (tree->dirs[i] < 0)
                continue;
            stayed += cgroup_clear_children(tree->dirs[i], CGROUP_MAIN);
            if (tree->version == CGROUP_V2)
                move_us_up(tree);
            if (unlinkat(tree->parents[i], tree->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                stayed++;
        }
        if (stayed == 0)
            return 0;
        if (waited >= wait_ms)
            return -1;
        pause_ms(5);
    }
}
