/*
 * attack: Reads and writes memory of other processes: process_vm_*, /proc/PID/mem, pidfd_getfd, kcmp.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

int main(void)
{
    char byte = 0;
    struct iovec local = { &byte, 1 }, remote = { (void *)main, 1 };
    int won = 0;
    if (process_vm_readv(1, &local, 1, &remote, 1, 0) >= 0 || process_vm_writev(1, &local, 1, &local, 1, 0) >= 0)
        won += printf("ESCAPED: process_vm\n");
    if (open("/proc/1/mem", O_RDWR) >= 0 || open("/proc/1/maps", O_RDONLY) >= 0)
        won += printf("ESCAPED: mem\n");
    int init = (int)syscall(SYS_pidfd_open, 1, 0);
    for (int fd = 0; fd < 64; fd++)
        if (syscall(SYS_pidfd_getfd, init, fd, 0) >= 0)
            won += printf("ESCAPED: descriptor %d of init\n", fd);
    if (syscall(SYS_kcmp, 1, getpid(), 0, 0, 0) >= 0)
        won += printf("ESCAPED: kcmp\n");
    if (won == 0)
        puts("refused");
}
