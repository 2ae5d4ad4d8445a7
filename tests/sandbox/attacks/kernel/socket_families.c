/*
 * attack: Sockets of every family and kind: only local ones.
 * expect: accepted stdout="refused\n"
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    for (int family = 0; family < 64; family++)
        for (int kind = 1; kind < 11; kind++) {
            int fd = socket(family, kind, 0), pair[2];
            if (fd >= 0 && family != AF_UNIX)
                won += printf("ESCAPED: family %d kind %d\n", family, kind);
            if (fd >= 0)
                close(fd);
            if (socketpair(family, kind, 0, pair) == 0) {
                if (family != AF_UNIX)
                    won += printf("ESCAPED: pair of family %d\n", family);
                close(pair[0]);
                close(pair[1]);
            }
        }
    if (won == 0)
        puts("refused");
}
