/*
 * attack: The program ends at once, its child goes on burning; the run is over all the same and the child with it.
 * limits: {"cpu_time_ms": 2000, "wall_time_ms": 3000}
 * expect: accepted stdout="gone\n" wall<=1000
 */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    if (fork() == 0)
        for (volatile unsigned long i = 0;; i++)
            ;
    puts("gone");
}
