/*
 * attack: Huge pages of each size, refused before the pool is looked at: where a host has one, its memory is
 * charged to nobody.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

int main(void)
{
    int won = 0;
    for (int shift = 16; shift < 35; shift++) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE | shift << 26;
        if (mmap(NULL, 2 << 20, PROT_READ, flags, -1, 0) != MAP_FAILED || errno != EPERM)
            won += printf("ESCAPED: mmap reached the pool, errno %d\n", errno);
        if (memfd_create("huge", MFD_HUGETLB | (unsigned)shift << 26) >= 0 || errno != EPERM)
            won += printf("ESCAPED: memfd reached the pool, errno %d\n", errno);
    }
    if (shmget(IPC_PRIVATE, 2 << 20, 0600 | SHM_HUGETLB) >= 0 || errno != EPERM)
        won += printf("ESCAPED: shmget reached the pool, errno %d\n", errno);
    if (won == 0)
        puts("refused");
}
