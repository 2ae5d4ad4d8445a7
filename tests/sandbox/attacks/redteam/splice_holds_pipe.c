/*
 * attack: Holds its stdout's lock in the kernel, waiting for a socket that never speaks, while the worker wants to
 * read.
 * limits: {"wall_time_ms": 700}
 * expect: time_limit wall>=700 wall<=1000
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    if (write(1, "first\n", 6) == 6)
        (void)splice(pair[0], NULL, 1, NULL, 4096, 0);
    for (;;)
        pause();
}
