/*
 * attack: Lets the kernel merge its pages with a neighbour's that asks too; how long a write takes then tells.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>

int main(void)
{
    int won = 0;
    char *page = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (madvise(page, 1 << 20, MADV_MERGEABLE) == 0)
        won += printf("ESCAPED: madvise\n");
    if (prctl(67, 1, 0, 0, 0) == 0) /* PR_SET_MEMORY_MERGE */
        won += printf("ESCAPED: prctl\n");
    if (won == 0)
        puts("refused");
}
