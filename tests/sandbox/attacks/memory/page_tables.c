/*
 * attack: Maps one page sixty thousand times so far apart that each needs a page table: the tables count.
 * limits: {"memory_bytes": 67108864, "cpu_time_ms": 4000}
 * expect: memory_limit memory<=67108864
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
    int fd = memfd_create("page", 0);
    if (ftruncate(fd, 4096) < 0)
        return 1;
    long i = 0;
    for (; i < 60000; i++) {
        void *place = (void *)(0x100000000000 + (i << 21));
        volatile char *at = mmap(place, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
        if (at == MAP_FAILED)
            break;
        *at = 1;
    }
    printf("ESCAPED: %ld page tables\n", i);
}
