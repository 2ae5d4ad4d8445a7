/*
 * attack: Slows the box's first process down to nothing and binds it to one processor; its end is reported all the same.
 * limits: {"wall_time_ms": 3000}
 * expect: accepted stdout="done\n" wall<=1500
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

int main(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setscheduler(1, SCHED_IDLE, &(struct sched_param){ 0 });
    setpriority(PRIO_PROCESS, 1, 19);
    sched_setaffinity(1, sizeof one, &one);
    for (int i = 0; i < 4; i++)
        if (fork() == 0)
            for (volatile unsigned long n = 0;; n++)
                ;
    usleep(100000);
    puts("done");
}
