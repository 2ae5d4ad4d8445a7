/*
 * attack: Takes pages from the host's pool of huge pages, which no memory limit counts.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

int main(void)
{
    int won = 0;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
    if (mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED)
        won += printf("ESCAPED: mmap\n");
    if (shmget(IPC_PRIVATE, 64 << 20, 0600 | SHM_HUGETLB) >= 0)
        won += printf("ESCAPED: shmget\n");
    int fd = memfd_create("huge", MFD_HUGETLB);
    if (fd >= 0 && mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED)
        won += printf("ESCAPED: memfd\n");
    if (won == 0)
        puts("refused");
}
