/*
 * attack: Event polls that watch each other as deep and as wide as the kernel lets them.
 * limits: {"cpu_time_ms": 1000}
 * expect: accepted stdout="done\n"
 * expect: time_limit
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/epoll.h>

int main(void)
{
    int polls[200];
    for (int i = 0; i < 200; i++)
        polls[i] = epoll_create1(0);
    for (int i = 0; i < 200; i++)
        for (int k = 0; k < 200; k++)
            (void)epoll_ctl(polls[i], EPOLL_CTL_ADD, polls[k], &(struct epoll_event){ .events = EPOLLIN | EPOLLET });
    puts("done");
}
