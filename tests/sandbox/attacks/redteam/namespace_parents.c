/*
 * attack: From its own namespaces to those above, by the calls that lead from one to the next.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>

int main(void)
{
    int won = 0;
    static const char *const kinds[] = { "pid", "user", "mnt", "net", "ipc", "uts", "cgroup", "time" };
    for (int i = 0; i < 8; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
        int fd = open(path, O_RDONLY);
        int above = ioctl(fd, 0xb702); /* NS_GET_PARENT */
        int owner = ioctl(fd, 0xb701); /* NS_GET_USERNS */
        if (above >= 0 && setns(above, 0) == 0)
            won += printf("ESCAPED: above %s\n", kinds[i]);
        if (above >= 0 || (owner >= 0 && ioctl(owner, 0xb702) >= 0))
            won += printf("ESCAPED: sees above %s\n", kinds[i]);
        if (owner >= 0 && setns(owner, 0) == 0)
            won += printf("ESCAPED: owner of %s\n", kinds[i]);
        if (setns(fd, 0) == 0)
            won += printf("ESCAPED: setns %s\n", kinds[i]);
    }
    if (won == 0)
        puts("refused");
}
