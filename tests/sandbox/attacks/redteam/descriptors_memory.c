/*
 * attack: Kernel memory by descriptors of every cheap kind, in many processes.
 * limits: {"memory_bytes": 67108864, "processes": 64, "wall_time_ms": 4000}
 * expect: accepted memory<=67108864
 * expect: memory_limit memory<=67108864
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    for (int i = 0; i < 40; i++)
        if (fork() == 0) {
            for (;;) {
                int ends[2];
                if (pipe(ends) < 0 || epoll_create1(0) < 0 || eventfd(0, 0) < 0 || timerfd_create(CLOCK_MONOTONIC, 0) < 0)
                    break;
                (void)!write(ends[1], "x", 1);
            }
            sleep(1);
            _exit(0);
        }
    sleep(1);
    puts("done");
}
