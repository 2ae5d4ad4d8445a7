/*
 * attack: Enters namespaces by every handle it can open, and asks them for their parents and owners.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    static const char *const kinds[] = { "mnt", "pid", "net", "ipc", "uts", "cgroup", "user", "time" };
    char path[80];
    int won = 0;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(path, sizeof path, "/proc/1/ns/%s", kinds[i]);
        if (open(path, O_RDONLY) >= 0)
            won += printf("ESCAPED: %s\n", path);
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
        int fd = open(path, O_RDONLY);
        if (setns(fd, 0) == 0)
            won += printf("ESCAPED: setns %s\n", kinds[i]);
        /* NS_GET_USERNS, NS_GET_PARENT: of namespaces above ours both must fail */
        if (ioctl(fd, 0xb702) >= 0)
            won += printf("ESCAPED: parent of %s\n", kinds[i]);
    }
    int init = (int)syscall(SYS_pidfd_open, 1, 0);
    if (setns(init, CLONE_NEWNS | CLONE_NEWPID) == 0)
        won += printf("ESCAPED: setns of init\n");
    if (won == 0)
        puts("refused");
}
