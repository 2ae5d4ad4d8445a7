/*
 * attack: Changes limits, scheduling and security of processes that are not its own.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

int main(void)
{
    struct rlimit none = { 0, 0 };
    static const int ids[] = { 1, @WORKER_PID@, @LAUNCHER_PID@ };
    int won = 0;
    for (int i = 0; i < 3; i++)
        for (int kind = 0; kind < 16; kind++)
            if (prlimit(ids[i], kind, &none, NULL) == 0)
                won += printf("ESCAPED: limit %d of %d\n", kind, ids[i]);
    if (setpriority(PRIO_PROCESS, @WORKER_PID@, 19) == 0)
        won += printf("ESCAPED: priority\n");
    if (won == 0)
        puts("refused");
}
