/*
 * attack: Pairs of sockets of families a single socket is refused of; asking loads and runs their code.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void)
{
    int won = 0;
    for (int family = 0; family < 64; family++)
        for (int kind = 1; kind < 7; kind++) {
            int pair[2];
            if (family == AF_UNIX || family == AF_INET || family == AF_INET6)
                continue;
            if (socketpair(family, kind, 0, pair) == 0 || (errno != EAFNOSUPPORT && errno != EPERM))
                won += printf("ESCAPED: family %d kind %d reached, errno %d\n", family, kind, errno);
        }
    if (won == 0)
        puts("refused");
}
