/*
 * attack: Makes device nodes: the host's disk, memory, terminals.
 * expect: accepted stdout="refused\n"
 */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    for (unsigned major = 1; major < 260; major++)
        if (mknod("/tmp/node", S_IFBLK | 0666, makedev(major, 0)) == 0 ||
            mknod("/tmp/node", S_IFCHR | 0666, makedev(major, 1)) == 0)
            won += printf("ESCAPED: device %u\n", major);
    /* 0,0 is the white-out of overlays, which any user may make: no device answers to it. */
    if (won == 0)
        puts("refused");
}
