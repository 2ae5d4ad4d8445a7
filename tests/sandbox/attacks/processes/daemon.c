/*
 * attack: A daemon as the book has it: two forks, a session of its own, no streams.  It ends with the run.
 * limits: {"wall_time_ms": 3000}
 * expect: accepted stdout="left\n" wall<=1000
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    puts("left");
    fflush(stdout);
    if (fork() != 0)
        return 0;
    setsid();
    if (fork() != 0)
        _exit(0);
    for (int fd = 0; fd < 1024; fd++)
        close(fd);
    sleep(300);
}
