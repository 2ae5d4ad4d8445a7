/*
 * attack: Handles on processes outside the box, by their numbers and by every number near its own.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    static const int ids[] = { @WORKER_PID@, @LAUNCHER_PID@, @RUNNER_PID@ };
    for (int i = 0; i < 3; i++)
        if (syscall(SYS_pidfd_open, ids[i], 0) >= 0)
            won += printf("ESCAPED: %d\n", ids[i]);
    for (int id = 3; id < 70000; id++)
        if (id != getpid() && syscall(SYS_pidfd_open, id, 0) >= 0)
            won += printf("ESCAPED: %d\n", id);
    if (won == 0)
        puts("refused");
}
