/*
 * attack: Kernel memory by timers: more than the signal limit of its user allows, or it counts as memory.
 * limits: {"memory_bytes": 33554432, "cpu_time_ms": 5000, "wall_time_ms": 8000}
 * expect: memory_limit memory<=33554432
 * expect: accepted stdout~"^refused" memory<=33554432
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>

int main(void)
{
    long made = 0;
    timer_t timer;
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
    while (made < 1000000 && timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
        made++;
    printf(made < 1000000 ? "refused after %ld\n" : "ESCAPED: %ld timers\n", made);
}
