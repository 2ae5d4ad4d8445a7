/*
 * attack: Leaves orphans as fast as it can: burying them is init's work, and must not be time for nothing.
 * limits: {"cpu_time_ms": 700, "wall_time_ms": 3000}
 * expect: time_limit wall<=6000
 */
#define _GNU_SOURCE
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    for (;;) {
        pid_t child = fork();
        if (child == 0) {
            (void)fork();
            _exit(0);
        }
        if (child > 0)
            (void)waitpid(child, NULL, 0);
    }
}
