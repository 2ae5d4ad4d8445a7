/*
 * attack: Kernel memory by mappings: as many as each of several processes may have, all of them at the same time.
 * limits: {"memory_bytes": 67108864, "cpu_time_ms": 5000, "wall_time_ms": 20000}
 * expect: memory_limit memory<=67108864
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
    atomic_long *made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    atomic_int *ready = (atomic_int *)(made + 1);
    pid_t child = 1;
    for (int i = 0; i < 7 && child != 0; i++)
        child = fork();
    /* Neighbours of different protection cannot be merged into one. */
    for (long i = 0; mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED; i++)
        atomic_fetch_add(made, 1);
    atomic_fetch_add(ready, 1);
    while (child == 0 || atomic_load(ready) < 8)
        usleep(1000);
    printf("ESCAPED: %ld mappings\n", atomic_load(made));
}
