/*
 * attack: Makes itself the reaper of orphans, leaves a family tree of them and ends.
 * limits: {"wall_time_ms": 3000}
 * expect: accepted stdout="left\n" wall<=1000
 */
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    puts("left");
    fflush(stdout);
    for (int i = 0; i < 8; i++)
        if (fork() == 0) {
            if (fork() != 0)
                _exit(0);
            setsid();
            for (;;)
                pause();
        }
    usleep(20000);
}
