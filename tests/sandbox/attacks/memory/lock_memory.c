/*
 * attack: Locks memory, so that the kernel could not take it back.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>

static char block[32 << 20];

int main(void)
{
    if (mlock(block, sizeof block) == 0)
        puts("ESCAPED: mlock");
    else if (mlockall(MCL_CURRENT | MCL_FUTURE) == 0)
        puts("ESCAPED: mlockall");
    else
        puts("refused");
}
