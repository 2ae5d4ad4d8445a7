/*
 * attack: Asks which pages of the image's files are in the host's cache, to learn what neighbours run.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    char byte;
    struct iovec into = { &byte, 1 };
    int fd = open("/usr/bin/env", O_RDONLY);
    if (preadv2(fd, &into, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN)
        won += printf("ESCAPED: a read that tells\n");
    unsigned long range[2] = { 0, 1 << 20 }, found[8];
    if (syscall(451, fd, range, found, 0) == 0)
        won += printf("ESCAPED: cachestat\n");
    size_t len = 1 << 16;
    unsigned char present[16] = { 0 };
    void *mapped = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    int all = 0;
    if (mincore(mapped, len, present) == 0)
        for (int i = 0; i < 12; i++)
            all += present[i] & 1;
    if (mapped != MAP_FAILED && all != 0 && all != 12) /* the kernel says "all" of files that are not the caller's */
        won += printf("ESCAPED: mincore\n");
    if (won == 0)
        puts("refused");
}
