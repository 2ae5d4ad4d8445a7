/*
 * attack: Leaves children that are stopped; a stopped process dies of SIGKILL too.
 * limits: {"wall_time_ms": 3000}
 * expect: accepted stdout="left\n" wall<=1000
 */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        if (child == 0)
            for (;;)
                raise(SIGSTOP);
        waitpid(child, NULL, WUNTRACED);
    }
    puts("left");
}
