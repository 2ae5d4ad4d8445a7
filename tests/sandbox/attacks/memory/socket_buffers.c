/*
 * attack: Fills the buffers of as many sockets as it may open, in several processes: the kernel's memory for them counts.
 * limits: {"memory_bytes": 67108864, "cpu_time_ms": 5000, "wall_time_ms": 8000}
 * expect: memory_limit memory<=67108864
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char block[4096];

int main(void)
{
    int pairs[480][2], opened = 0;
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            break;
    unsigned long bytes = 0;
    while (opened < 480 && socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[opened]) == 0) {
        long sent;
        while ((sent = send(pairs[opened][0], block, sizeof block, MSG_DONTWAIT)) > 0)
            bytes += (unsigned long)sent;
        opened++;
    }
    while (wait(NULL) > 0)
        ;
    if (bytes > 64ul << 20)
        printf("ESCAPED: %lu bytes in %d pairs\n", bytes, opened);
    return bytes > 64ul << 20 ? 0 : 1;
}
