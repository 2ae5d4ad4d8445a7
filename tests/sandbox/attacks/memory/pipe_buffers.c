/*
 * attack: Fills as many pipes as it may open.
 * limits: {"memory_bytes": 33554432, "cpu_time_ms": 5000, "wall_time_ms": 8000}
 * expect: memory_limit memory<=33554432
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char block[65536];

int main(void)
{
    unsigned long bytes = 0;
    int ends[2], opened = 0;
    for (; opened < 500 && pipe2(ends, O_NONBLOCK) == 0; opened++) {
        (void)fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
        long wrote;
        while ((wrote = write(ends[1], block, sizeof block)) > 0)
            bytes += (unsigned long)wrote;
    }
    if (bytes > 32ul << 20)
        printf("ESCAPED: %lu bytes in %d pipes\n", bytes, opened);
    /* The kernel's own limit of pipe pages a user may keep it below ours. */
    char *rest = sbrk(64 << 20);
    for (long i = 0; i < 64 << 20; i += 4096)
        rest[i] = 1;
}
