/*
 * attack: Makes init the least of all processes and gives it orphans to bury, so that the end comes late.
 * limits: {"cpu_time_ms": 800, "wall_time_ms": 2000}
 * expect: time_limit wall<=6000
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    struct sched_param none = { 0 };
    (void)sched_setaffinity(1, sizeof one, &one);
    (void)sched_setscheduler(1, SCHED_IDLE, &none);
    (void)setpriority(PRIO_PROCESS, 1, 19);
    (void)syscall(SYS_ioprio_set, 1, 1, 3 << 13);
    for (;;)
        if (fork() == 0) {
            for (int i = 0; i < 4; i++)
                if (fork() == 0)
                    _exit(0);
            _exit(0);
        } else {
            (void)waitpid(-1, NULL, 0);
        }
}
