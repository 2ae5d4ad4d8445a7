/*
 * attack: Leaves the marks by which overlays hide files of their lower layer, in every folder it can write to, and
 * looks whether one of the image's files has gone.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

int main(void)
{
    static const char *const folders[] = { "/box", "/tmp", "/dev/shm", "/usr/bin", "/etc", "/" };
    char name[64], other[64];
    int won = 0;
    for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(name, sizeof name, "%s/passwd", folders[i]);
        snprintf(other, sizeof other, "%s/other", folders[i]);
        (void)!mknod(name, S_IFCHR | 0666, makedev(0, 0));
        unlink(other);
        close(open(other, O_CREAT | O_WRONLY, 0644));
        renameat2(AT_FDCWD, other, AT_FDCWD, name, RENAME_WHITEOUT);
        setxattr(folders[i], "user.overlay.opaque", "y", 1, 0);
        setxattr(folders[i], "trusted.overlay.opaque", "y", 1, 0);
        setxattr(folders[i], "user.overlay.redirect", "/../../..", 9, 0);
        int fd = open(other, O_RDWR);
        char byte;
        if (fd >= 0 && read(fd, &byte, 1) > 0)
            won += printf("ESCAPED: a device that can be read\n");
    }
    if (access("/etc/passwd", F_OK) != 0 || access("/usr/bin/env", X_OK) != 0)
        won += printf("ESCAPED: the image has lost a file\n");
    if (won == 0)
        puts("refused");
}
