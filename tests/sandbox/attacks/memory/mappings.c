/*
 * attack: Kernel memory by mappings: as many as each of several processes may have.
 * limits: {"memory_bytes": 67108864, "cpu_time_ms": 5000, "wall_time_ms": 8000}
 * expect: memory_limit memory<=67108864
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    for (int i = 0; i < 7; i++)
        if (fork() == 0)
            break;
    long made = 0;
    /* Neighbours of different protection cannot be merged into one. */
    while (mmap(NULL, 4096, made % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        made++;
    while (wait(NULL) > 0)
        ;
    printf("ESCAPED: %ld mappings a process\n", made);
}
