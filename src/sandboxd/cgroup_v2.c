/*
 * cgroup_v2: the parts of cgroup.h that only v2 needs.
 *
 * v2 allows no processes in a group whose children have controllers.  So the tree is placed by who else is there:
 *
 *   - The group we were started in holds only us and our parent, the worker (systemd with Delegate=yes).  The tree is
 *     made in it, and we both move into tree/main.  At the end we move back: the worker may have more to do, and should
 *     end by itself, with its own exit status.
 *   - It holds others (a login shell).  The tree is made at the top of the hierarchy, which root may do.
 *   - The top we see is our own group but not the hierarchy's root (a container, whose process 1 may be the worker).
 *     Nothing is above it, so all its processes move into tree/main.
 *
 * Documentation/admin-guide/cgroup-v2.rst describes the files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandboxd/cgroup_file.h"
#include "sandboxd/cgroup_internal.h"

#define ENABLE "+memory +pids"
#define DISABLE "-memory -pids"
#define WEIGHT_MAX "10000"

/* Turns the controllers on or off that divide CPU and I/O between the children of a group.  They may be missing. */
static void switch_weights(int dir, bool on)
{
    struct error ignored;
    (void)cgroup_file_write_text(dir, "cgroup.subtree_control", on ? "+cpu" : "-cpu", &ignored);
    (void)cgroup_file_write_text(dir, "cgroup.subtree_control", on ? "+io" : "-io", &ignored);
}

/* Does the group hold only the launcher and its parent? */
static bool holds_only_us(int dir)
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

int cgroup_v2_tree_open(struct cgroup *tree, struct cgroup_hierarchy *hierarchy, struct error *err)
{
    bool is_root = hierarchy->own_is_top && faccessat(hierarchy->top, "cgroup.type", F_OK, 0) < 0; /* others have it */
    bool below_own = hierarchy->own_is_top || holds_only_us(hierarchy->own);
    int parent = below_own ? hierarchy->own : hierarchy->top;

    cgroup_remove_stale_trees(parent);
    if (cgroup_dir_open(parent, tree->name, &tree->dirs[0], err) < 0)
        return -1;
    if (!is_root && below_own) {
        int main_dir;
        if (cgroup_dir_open(tree->dirs[0], CGROUP_MAIN, &main_dir, err) < 0)
            return -1;
        cgroup_move_members(hierarchy->own, main_dir);
        (void)close(main_dir);
    }
    switch_weights(parent, true);
    switch_weights(tree->dirs[0], true);
    /* Every slot-N has the standard weight of 100.  Worker and launcher must get a processor whenever they want one. */
    (void)cgroup_file_write_text(tree->dirs[0], CGROUP_MAIN "/cpu.weight", WEIGHT_MAX, err);
    (void)cgroup_file_write_text(tree->dirs[0], CGROUP_MAIN "/io.weight", WEIGHT_MAX, err);
    if (cgroup_file_write_text(parent, "cgroup.subtree_control", ENABLE, err) < 0 ||
        cgroup_file_write_text(tree->dirs[0], "cgroup.subtree_control", ENABLE, err) < 0) {
        err->kind = ERROR_SETUP;
        return error_within(err, "enable the memory and pids controllers (run evalx by its systemd unit, which has "
                                 "Delegate=yes, or as root outside a container)");
    }
    tree->parents[0] = take_fd(below_own ? &hierarchy->own : &hierarchy->top);
    tree->mode = CGROUP_V2;
    return 0;
}

void cgroup_v2_tree_leave(const struct cgroup *tree)
{
    struct error ignored;
    auto_close int dir = openat(tree->dirs[0], CGROUP_MAIN, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return; /* we never moved */
    /* The parent may hold processes only while it gives no controllers to its children. */
    switch_weights(tree->dirs[0], false);
    switch_weights(tree->parents[0], false);
    if (cgroup_file_write_text(tree->dirs[0], "cgroup.subtree_control", DISABLE, &ignored) == 0 &&
        cgroup_file_write_text(tree->parents[0], "cgroup.subtree_control", DISABLE, &ignored) == 0)
        cgroup_move_members(dir, tree->parents[0]);
    (void)unlinkat(tree->dirs[0], CGROUP_MAIN, AT_REMOVEDIR);
}

int cgroup_v2_slot_open(const struct cgroup *slot, struct error *err)
{
    if (mkdirat(slot->dirs[0], "inits", 0755) < 0 && errno != EEXIST)
        return error_set(err, ERROR_SANDBOX, errno, "make cgroup %s/inits", slot->name);
    if (mkdirat(slot->parents[0], CGROUP_SLOTS, 0755) < 0 && errno != EEXIST)
        return error_set(err, ERROR_SANDBOX, errno, "make cgroup " CGROUP_SLOTS);
    (void)cgroup_file_write_text(slot->parents[0], CGROUP_SLOTS "/cpu.weight", WEIGHT_MAX, err);
    return cgroup_file_write_text(slot->dirs[0], "cgroup.subtree_control", ENABLE, err);
}

int cgroup_v2_run_limit(struct cgroup_run *run, const struct limits *limits, struct error *err)
{
    int dir = run->group.dirs[0];
    if (cgroup_file_write(dir, "memory.max", limits->memory_bytes, err) < 0 ||
        cgroup_file_write(dir, "memory.oom.group", 1, err) < 0 ||
        cgroup_file_write(dir, "pids.max", limits->processes, err) < 0)
        return -1;
    static int has_swap = -1; /* the kernel accounts swap in all groups or in none */
    if (has_swap < 0)
        has_swap = faccessat(dir, "memory.swap.max", W_OK, 0) == 0;
    return has_swap ? cgroup_file_write(dir, "memory.swap.max", 0, err) : 0;
}
