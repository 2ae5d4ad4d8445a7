/*
 * attack: New namespaces of each kind, alone and together with a user namespace.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>

int main(void)
{
    static const int kinds[] = { CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS,
                                 CLONE_NEWCGROUP, 0x80 /* CLONE_NEWTIME */ };
    int won = 0;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (unshare(kinds[i]) == 0 || unshare(kinds[i] | CLONE_NEWUSER) == 0)
            won += printf("ESCAPED: %x\n", (unsigned)kinds[i]);
    if (won == 0)
        puts("refused");
}
