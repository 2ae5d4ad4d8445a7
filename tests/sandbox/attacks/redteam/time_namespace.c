/*
 * attack: Clocks of its own, so that time seems to stand: a time namespace, offsets, alarms that wake the machine.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

int main(void)
{
    int won = 0, fd = open("/proc/self/timens_offsets", O_WRONLY);
    struct timex set = { .modes = ADJ_FREQUENCY, .freq = 100 };
    struct timespec now = { .tv_sec = 1 };
    timer_t timer;
    if (unshare(CLONE_NEWTIME) == 0)
        won += printf("ESCAPED: a time namespace\n");
    if (fd >= 0 && write(fd, "monotonic 1000 0\n", 17) > 0)
        won += printf("ESCAPED: an offset\n");
    if (clock_settime(CLOCK_REALTIME, &now) == 0 || adjtimex(&set) >= 0 || clock_adjtime(CLOCK_REALTIME, &set) >= 0)
        won += printf("ESCAPED: the clock\n");
    if (timer_create(CLOCK_BOOTTIME_ALARM, NULL, &timer) == 0 || timerfd_create(CLOCK_REALTIME_ALARM, 0) >= 0)
        won += printf("ESCAPED: an alarm that wakes\n");
    if (won == 0)
        puts("refused");
}
