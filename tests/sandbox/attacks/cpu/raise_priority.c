/*
 * attack: Asks the scheduler for more than its share, in each way there is.
 * expect: accepted stdout="refused\n"
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct attr {
    unsigned size, policy;
    unsigned long flags;
    int nice;
    unsigned priority;
    unsigned long runtime, deadline, period;
};

int main(void)
{
    int won = 0;
    struct sched_param top = { .sched_priority = 99 };
    struct attr deadline = { .size = sizeof deadline, .policy = 6, .runtime = 9000000, .deadline = 10000000,
                             .period = 10000000 };
    if (setpriority(PRIO_PROCESS, 0, -20) == 0)
        won += printf("ESCAPED: niceness -20\n");
    if (sched_setscheduler(0, SCHED_FIFO, &top) == 0 || sched_setscheduler(0, SCHED_RR, &top) == 0)
        won += printf("ESCAPED: real-time scheduling\n");
    if (syscall(SYS_sched_setattr, 0, &deadline, 0) == 0)
        won += printf("ESCAPED: deadline scheduling\n");
    if (syscall(SYS_ioprio_set, 1, 0, 1 << 13) == 0)
        won += printf("ESCAPED: real-time class of the disk\n");
    if (won == 0)
        puts("refused");
}
