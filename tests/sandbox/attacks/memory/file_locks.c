/*
 * attack: Kernel memory by a million locks on every second byte of a file: they succeed, and none is there.
 * limits: {"memory_bytes": 33554432, "cpu_time_ms": 3000, "wall_time_ms": 6000}
 * expect: accepted stdout="made 1000000, found 0\n" memory<=33554432
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    int fd = open("/box/locked", O_RDWR | O_CREAT, 0600);
    long made = 0;
    for (; made < 1000000; made++) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2 * (1000000 - made), .l_len = 1 };
        if (fcntl(fd, F_SETLK, &lock) < 0)
            break;
    }
    if (fork() != 0) { /* a process does not find its own locks */
        int status;
        return wait(&status) < 0;
    }
    long found = 0;
    for (long i = 0; i < 1000000; i++) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2 * i, .l_len = 1 };
        if (fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type != F_UNLCK)
            found++;
    }
    printf("made %ld, found %ld\n", made, found);
    return 0;
}
