/*
 * attack: Makes the kernel send SIGKILL and SIGSTOP to init: as the owner of a socket's and a pipe's signals.
 * expect: accepted stdout="init lives\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    static const int signals[] = { SIGKILL, SIGSTOP, SIGIO, 64 }, owners[] = { 1, -1 };
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 2; k++) {
            int pair[2];
            socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
            (void)fcntl(pair[0], F_SETOWN, owners[k]);
            (void)fcntl(pair[0], F_SETSIG, signals[i]);
            (void)fcntl(pair[0], F_SETFL, O_ASYNC | O_NONBLOCK);
            (void)!write(pair[1], "x", 1);
            send(pair[1], "y", 1, MSG_OOB);
        }
    usleep(20000);
    puts(kill(1, 0) == 0 ? "init lives" : "init is gone");
}
