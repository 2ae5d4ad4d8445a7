/*
 * attack: Kernel memory by a million locks on every second byte of a file.
 * limits: {"memory_bytes": 33554432, "cpu_time_ms": 1000, "wall_time_ms": 3000}
 * expect: memory_limit memory<=33554432
 * expect: time_limit memory<=33554432
 * expect: accepted stdout~"^refused" memory<=33554432
 */
#include <fcntl.h>
#include <stdio.h>

int main(void)
{
    int fd = open("/box/locked", O_RDWR | O_CREAT, 0600);
    long made = 0;
    for (; made < 1000000; made++) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2 * (1000000 - made), .l_len = 1 };
        if (fcntl(fd, F_SETLK, &lock) < 0)
            break;
    }
    printf(made < 1000000 ? "refused after %ld\n" : "ESCAPED: %ld locks\n", made);
}
