/*
 * attack: Lowers init, which has the program's user and buries it: alone, as one of a group, as one of a user's.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    cpu_set_t one;
    (void)sched_getaffinity(0, sizeof one, &one);
    struct sched_param none = { 0 };
    struct { unsigned size, policy; unsigned long flags; int nice; unsigned priority;
             unsigned long runtime, deadline, period; } idle = { .size = 48, .policy = SCHED_IDLE };
    static const long high = 1L << 32; /* the kernel reads the lower half */
    won += syscall(SYS_sched_setaffinity, 1 | high, sizeof one, &one) == 0 && printf("ESCAPED: affinity\n");
    won += syscall(SYS_sched_setscheduler, 1 | high, SCHED_BATCH, &none) == 0 && printf("ESCAPED: policy\n");
    won += syscall(SYS_sched_setparam, 1 | high, &none) == 0 && printf("ESCAPED: parameters\n");
    won += syscall(SYS_sched_setattr, 1, &idle, 0) == 0 && printf("ESCAPED: attributes\n");
    won += syscall(SYS_setpriority, PRIO_PROCESS | high, 1 | high, 19) == 0 && printf("ESCAPED: niceness\n");
    won += setpriority(PRIO_PGRP, 0, 19) == 0 && printf("ESCAPED: a group's niceness\n");
    won += setpriority(PRIO_USER, 0, 19) == 0 && printf("ESCAPED: a user's niceness\n");
    won += syscall(SYS_ioprio_set, 1, 1 | high, 3 << 13) == 0 && printf("ESCAPED: disk\n");
    won += syscall(SYS_ioprio_set, 3, 0, 3 << 13) == 0 && printf("ESCAPED: a user's disk\n");
    won += syscall(SYS_sched_setscheduler, 0, SCHED_IDLE | high, &none) == 0 && printf("ESCAPED: idle\n");
    won += syscall(SYS_sched_setscheduler, 0, SCHED_IDLE | SCHED_RESET_ON_FORK, &none) == 0 && printf("ESCAPED: idle\n");
    /* Its own stays its own. */
    int lower = getpriority(PRIO_PROCESS, 0) + 1;
    if (setpriority(PRIO_PROCESS, 0, lower > 19 ? 19 : lower) != 0 || syscall(SYS_sched_setaffinity, 0, sizeof one, &one) != 0)
        won += printf("its own niceness or affinity is refused\n");
    if (won == 0)
        puts("refused");
}
