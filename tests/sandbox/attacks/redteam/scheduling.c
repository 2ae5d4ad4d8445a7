/*
 * attack: Every policy that goes before others, with every field there is.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    struct { unsigned size, policy; unsigned long flags; int nice; unsigned priority;
             unsigned long runtime, deadline, period; unsigned low, high; } wish = { .size = 56 };
    static const unsigned policies[] = { 1, 2, 6, 7 };
    for (int i = 0; i < 4; i++) {
        wish.policy = policies[i];
        wish.priority = policies[i] < 3 ? 1 : 0;
        wish.runtime = 1000000;
        wish.deadline = wish.period = 10000000;
        for (unsigned long flags = 0; flags < 8; flags++) {
            wish.flags = flags;
            if (syscall(SYS_sched_setattr, 0, &wish, 0) == 0)
                won += printf("ESCAPED: policy %u\n", policies[i]);
        }
    }
    if (setpriority(PRIO_PROCESS, 0, -1) == 0)
        won += printf("ESCAPED: nice\n");
    if (syscall(SYS_ioprio_set, 1, 0, 1 << 13) == 0)
        won += printf("ESCAPED: real-time I/O\n");
    int fd = open("/proc/self/autogroup", O_WRONLY);
    if (fd >= 0 && write(fd, "-20", 3) == 3)
        won += printf("ESCAPED: the session's share\n");
    if (won == 0)
        puts("refused");
}
