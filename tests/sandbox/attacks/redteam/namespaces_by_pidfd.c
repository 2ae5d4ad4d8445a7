/*
 * attack: The namespaces of init and of itself by a handle on the process.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    for (int whose = 0; whose < 2; whose++) {
        int handle = (int)syscall(SYS_pidfd_open, whose == 0 ? 1 : getpid(), 0);
        for (unsigned number = 1; number <= 10; number++) {
            int fd = ioctl(handle, 0xff00u | number); /* PIDFD_GET_..._NAMESPACE */
            if (fd >= 0 && whose == 0)
                won += printf("ESCAPED: a namespace of init, %u\n", number);
            if (fd >= 0 && setns(fd, 0) == 0)
                won += printf("ESCAPED: setns\n");
        }
        if (setns(handle, CLONE_NEWNS | CLONE_NEWPID) == 0)
            won += printf("ESCAPED: setns by a handle\n");
        if (syscall(SYS_pidfd_getfd, handle, 0, 0) >= 0)
            won += printf("ESCAPED: a descriptor\n");
    }
    if (won == 0)
        puts("refused");
}
