/*
 * floor_namespaces: the minimum that a fresh box costs the kernel: pid, mount, ipc, uts and cgroup namespaces, /proc,
 * a tmpfs bound to three mount points, and a memory group, started as by vfork.  It has no init, no other user, no
 * seccomp filter, no limits and no standby box.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "floor_namespaces.h"

static char group[128], members[160];

struct start {
    char *const *argv;
    int output;
};

static void bind_folder(const char *folder, const char *target)
{
    if (mkdir(folder, 0755) != 0 || mount(folder, target, NULL, MS_BIND, NULL) != 0)
        _exit(125);
}

static int child(void *at)
{
    const struct start *start = at;
    int in_group = open(members, O_WRONLY);
    if (write(in_group, "0", 1) != 1 || unshare(CLONE_NEWNS | CLONE_NEWCGROUP) != 0 ||
        mount("proc", "/proc", "proc", 0, NULL) != 0 || mount("tmpfs", "/mnt", "tmpfs", 0, "size=64m") != 0)
        _exit(125);
    close(in_group);
    bind_folder("/mnt/box", "/srv");
    bind_folder("/mnt/tmp", "/media");
    bind_folder("/mnt/shm", "/opt");
    int input = open("/dev/null", O_RDONLY);
    if (dup2(input, 0) < 0 || dup2(start->output, 1) < 0)
        _exit(125);
    execv(start->argv[0], start->argv);
    _exit(127);
}

void namespaces_prepare(void)
{
    const char *top = access("/sys/fs/cgroup/memory/tasks", F_OK) == 0 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
    const char *knob = top[sizeof "/sys/fs/cgroup" - 1] == '/' ? "tasks" : "cgroup.procs";
    snprintf(group, sizeof group, "%s/floor-%d", top, (int)getpid());
    snprintf(members, sizeof members, "%s/%s", group, knob);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        perror("namespaces");
        exit(1);
    }
}

pid_t namespaces_start(char *const argv[], int output)
{
    static char stack[65536] __attribute__((aligned(16)));
    struct start start = { argv, output };
    if (mkdir(group, 0755) != 0) {
        perror(group);
        exit(1);
    }
    const int flags = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_VM | CLONE_VFORK | SIGCHLD;
    return clone(child, stack + sizeof stack, flags, &start);
}

void namespaces_end(void)
{
    while (rmdir(group) != 0) /* EBUSY until the kernel has removed the processes */
        usleep(50);
}
