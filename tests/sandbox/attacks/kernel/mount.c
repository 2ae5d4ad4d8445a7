/*
 * attack: Mounts, binds, moves, remounts and unmounts, by the old calls and the new.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    static const char *const kinds[] = { "tmpfs", "proc", "sysfs", "cgroup", "cgroup2", "overlay", "bpf", "devpts",
                                         "debugfs", "ramfs", "mqueue", "binfmt_misc" };
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (mount("none", "/tmp", kinds[i], 0, "") == 0)
            won += printf("ESCAPED: mount %s\n", kinds[i]);
        if (syscall(SYS_fsopen, kinds[i], 0) >= 0)
            won += printf("ESCAPED: fsopen %s\n", kinds[i]);
    }
    if (mount("/usr", "/tmp", NULL, MS_BIND, NULL) == 0 || mount("/tmp", "/box", NULL, MS_MOVE, NULL) == 0 ||
        mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) == 0 || mount(NULL, "/usr", NULL, MS_REMOUNT, NULL) == 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) == 0)
        won += printf("ESCAPED: bind, move or remount\n");
    if (umount2("/proc", MNT_DETACH) == 0 || umount2("/box", MNT_DETACH) == 0 || umount2("/", MNT_DETACH) == 0)
        won += printf("ESCAPED: umount\n");
    if (syscall(SYS_open_tree, AT_FDCWD, "/usr", 1) >= 0 || syscall(SYS_open_tree, AT_FDCWD, "/usr", 0) >= 0 ||
        syscall(SYS_move_mount, AT_FDCWD, "/tmp", AT_FDCWD, "/box", 0) == 0 || syscall(SYS_fspick, AT_FDCWD, "/", 0) >= 0)
        won += printf("ESCAPED: the new calls\n");
    struct { unsigned long set, clear, propagation, user; } writable = { .clear = 1 };
    if (syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &writable, sizeof writable) == 0)
        won += printf("ESCAPED: mount_setattr\n");
    if (syscall(SYS_pivot_root, "/tmp", "/tmp") == 0 || chroot("/tmp") == 0)
        won += printf("ESCAPED: another root\n");
    if (won == 0)
        puts("refused");
}
