/*
 * attack: Changes the pipe it was given: size, flags, owner of its signals; then reads the worker's end.
 * limits: {"wall_time_ms": 2000}
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    char byte;
    (void)fcntl(1, F_SETPIPE_SZ, 4096);
    (void)fcntl(1, F_SETFL, O_NONBLOCK | O_ASYNC | O_DIRECT);
    (void)fcntl(1, F_SETOWN, 1);
    (void)fcntl(1, F_SETSIG, SIGKILL);
    int won = 0;
    if (read(1, &byte, 1) >= 0)
        won += printf("ESCAPED: read from stdout\n");
    int again = open("/proc/self/fd/1", O_RDONLY | O_NONBLOCK);
    if (again >= 0 && fcntl(again, F_GETFL) >= 0 && read(again, &byte, 1) > 0)
        won += printf("ESCAPED: read the worker's end\n");
    if (won == 0)
        printf("refused\n");
}
