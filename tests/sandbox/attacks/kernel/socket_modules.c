/*
 * attack: Sockets whose protocol would make the kernel load a module for them: SCTP, DCCP, MPTCP, UDP-Lite, L2TP, SMC.
 * expect: accepted stdout="refused\n"
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void)
{
    int won = 0;
    static const int families[] = { AF_INET, AF_INET6 };
    for (int i = 0; i < 2; i++)
        for (int protocol = 18; protocol < 300; protocol++)
            for (int kind = 1; kind < 8; kind++)
                if (socket(families[i], kind, protocol) >= 0 || errno != EAFNOSUPPORT)
                    won += printf("ESCAPED: protocol %d kind %d errno %d\n", protocol, kind, errno);
    for (int family = 2; family < 64; family++) {
        int pair[2];
        if (socketpair(family, SOCK_SEQPACKET, 0, pair) == 0 || errno != EAFNOSUPPORT)
            won += printf("ESCAPED: pair of family %d errno %d\n", family, errno);
    }
    if (won == 0)
        puts("refused");
}
