/*
 * attack: Kills every process number there may be while a neighbour sleeps.
 * beside: kill_neighbour_victim.c
 * delay: 400
 * expect: accepted stdout="refused\n"
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    int hit = 0;
    for (int id = 2; id < 70000; id++)
        if (id != getpid() && kill(id, SIGKILL) == 0)
            hit += printf("ESCAPED: %d\n", id);
    kill(-1, SIGKILL);
    if (hit == 0)
        puts("refused");
}
