/*
 * attack: Protocols of the internet beside TCP and UDP (SCTP, DCCP, UDP-Lite, L2TP, MPTCP), whose modules asking
 * loads.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void)
{
    int won = 0;
    static const int protocols[] = { 2, 4, 33, 41, 46, 47, 50, 51, 94, 103, 108, 115, 132, 136, 137, 143, 255, 262 };
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        for (int kind = 1; kind < 7; kind++)
            if (socket(i % 2 ? AF_INET : AF_INET6, kind, protocols[i]) >= 0 || errno != EAFNOSUPPORT)
                won += printf("ESCAPED: protocol %d kind %d, errno %d\n", protocols[i], kind, errno);
    if (won == 0)
        puts("refused");
}
