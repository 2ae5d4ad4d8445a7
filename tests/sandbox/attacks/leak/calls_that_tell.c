/*
 * attack: Calls that reveal the host and other runs: ustat reads any mounted file system, sysfs lists the kernel's
 * file systems, and neighbours of both.
 * expect: accepted stdout="nothing\n"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int won;

static void told(const char *name, long result)
{
    if (result >= 0 || errno != ENOSYS)
        won += printf("ESCAPED: %s: %ld, %s\n", name, result, strerror(errno));
}

int main(void)
{
    char space[4096];
    int number = 0, random = open("/dev/urandom", O_RDONLY);
#ifdef SYS_ustat
    for (unsigned device = 0; device < 200; device++)
        told("ustat", syscall(SYS_ustat, device, space));
    told("sysfs", syscall(SYS_sysfs, 3));
    told("sysfs", syscall(SYS_sysfs, 2, 0, space));
#endif
    told("get_mempolicy", syscall(SYS_get_mempolicy, &number, NULL, 0, NULL, 0));
    told("ioprio_get", syscall(SYS_ioprio_get, 1, 0));
    told("sched_getattr", syscall(SYS_sched_getattr, 0, space, 56, 0));
    told("sched_rr_get_interval", syscall(SYS_sched_rr_get_interval, 0, space));
    told("remap_file_pages", syscall(SYS_remap_file_pages, space, 4096, 0, 0, 0));
    told("cachestat", syscall(451, random, space, space + 100, 0));
    told("openat2", syscall(437, AT_FDCWD, "/", space, 24));
    if (ioctl(random, 0x80045200 /* RNDGETENTCNT */, &number) == 0 || errno != ENOTTY)
        won += printf("ESCAPED: entropy of the host\n");
    if (won == 0)
        puts("nothing");
}
