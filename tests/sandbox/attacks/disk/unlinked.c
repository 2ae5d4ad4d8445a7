/*
 * attack: Space in files that have no name any more.
 * limits: {"memory_bytes": 536870912, "cpu_time_ms": 4000, "file_bytes": 4194304}
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static char block[1 << 20];

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    long bytes = 0;
    for (int i = 0; i < 100; i++) {
        int fd = open("/tmp/unnamed", O_RDWR | O_CREAT | O_EXCL, 0600);
        unlink("/tmp/unnamed");
        long wrote;
        while ((wrote = write(fd, block, sizeof block)) > 0)
            bytes += wrote;
    }
    if (bytes > @DISK_MIB@l << 20)
        printf("ESCAPED: %ld bytes\n", bytes);
    else
        puts("refused");
}
