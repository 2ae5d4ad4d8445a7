/*
 * attack: Writes until it is stopped, and holds on when the file's limit signals.
 * limits: {"file_bytes": 4194304, "memory_bytes": 268435456}
 * expect: accepted stdout="4194304\n"
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static char block[65536];

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    int fd = open("big", O_RDWR | O_CREAT, 0600);
    long bytes = 0, wrote;
    while ((wrote = write(fd, block, sizeof block)) > 0)
        bytes += wrote;
    printf("%ld\n", bytes);
}
