/*
 * attack: A core for itself alone, so that the sibling idles for all others.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/prctl.h>

int main(void)
{
    int won = 0;
    for (int scope = 0; scope < 3; scope++)
        for (int what = 0; what < 4; what++)
            if (prctl(62, what, 0, scope, 0) == 0)
                won += printf("ESCAPED: PR_SCHED_CORE %d %d\n", what, scope);
    if (won == 0)
        puts("refused");
}
