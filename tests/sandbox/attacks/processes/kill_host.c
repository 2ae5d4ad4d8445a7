/*
 * attack: Kills the worker and the launcher by their real process ids.
 * expect: accepted stdout="refused\n"
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

int main(void)
{
    static const int ids[] = { @WORKER_PID@, @LAUNCHER_PID@, @RUNNER_PID@ };
    int won = 0;
    for (int i = 0; i < 3; i++)
        if (kill(ids[i], SIGKILL) == 0 || errno != ESRCH)
            won += printf("ESCAPED: %d\n", ids[i]);
    if (won == 0)
        puts("refused");
}
