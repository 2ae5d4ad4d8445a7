/*
 * attack: Interrupts every processor of the host, as often as it can, by memory barriers.
 * limits: {"cpu_time_ms": 600, "wall_time_ms": 1200}
 * expect: time_limit wall<=4000
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    (void)syscall(SYS_membarrier, 1 << 2, 0, 0); /* register for all */
    for (int i = 0; i < 8; i++)
        if (fork() == 0)
            break;
    for (;;) {
        (void)syscall(SYS_membarrier, 1 << 1, 0, 0);
        (void)syscall(SYS_membarrier, 1, 0, 0);
    }
}
