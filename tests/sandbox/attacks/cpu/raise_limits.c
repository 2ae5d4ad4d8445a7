/*
 * attack: Takes its own limits away before it loops; hard limits stay, and the group's clock asks nobody.
 * limits: {"cpu_time_ms": 250, "wall_time_ms": 5000}
 * expect: time_limit stdout="refused\n" cpu<=400
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/resource.h>

int main(void)
{
    static const int kinds[] = { RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_MEMLOCK,
                                 RLIMIT_RTPRIO, RLIMIT_NICE };
    const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
    int won = 0;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (setrlimit(kinds[i], &none) == 0 || prlimit(0, kinds[i], &none, NULL) == 0)
            won += printf("ESCAPED: limit %d\n", kinds[i]);
    if (won == 0)
        puts("refused");
    fflush(stdout);
    for (volatile unsigned long i = 0;; i++)
        ;
}
