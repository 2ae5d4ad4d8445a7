/*
 * attack: A crowd that gives the processor away all the time, to wear the scheduler out.
 * limits: {"cpu_time_ms": 300, "wall_time_ms": 5000, "processes": 32}
 * expect: time_limit cpu<=500
 */
#include <sched.h>
#include <unistd.h>

int main(void)
{
    for (int i = 0; i < 20; i++)
        if (fork() == 0)
            break;
    for (;;)
        sched_yield();
}
