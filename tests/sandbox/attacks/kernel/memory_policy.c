/*
 * attack: Moves pages between nodes, hides memory from the kernel itself, and looks into the page cache of others.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    unsigned long node = 1;
    if (syscall(SYS_migrate_pages, 1, 1, &node, &node) >= 0 || syscall(SYS_move_pages, 1, 0, 0, 0, 0, 0) >= 0)
        won += printf("ESCAPED: pages of another process\n");
    if (syscall(SYS_mbind, 0, 4096, 0, 0, 0, 0) == 0 || syscall(SYS_set_mempolicy, 0, NULL, 0) == 0)
        won += printf("ESCAPED: policy\n");
    if (syscall(447 /* memfd_secret */, 0) >= 0)
        won += printf("ESCAPED: memfd_secret\n");
    /* All pages count as present for who may not write the file: true or not, it tells nothing. */
    int fd = open("/usr/bin/gdb", O_RDONLY);
    if (fd < 0)
        fd = open("/usr/bin/perl", O_RDONLY);
    unsigned char present[256];
    void *at = mmap(NULL, 256 << 12, PROT_READ, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED && mincore(at, 256 << 12, present) == 0)
        for (int i = 0; i < 256; i++)
            if ((present[i] & 1) == 0) {
                won += printf("ESCAPED: mincore\n");
                break;
            }
    if (won == 0)
        puts("refused");
}
