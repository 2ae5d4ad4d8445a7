/*
 * attack: With a loopback network, asks for every kind of socket but TCP and UDP, and for options that switch on code
 * for the whole host, load modules or keep memory that no cgroup is charged for.
 * network: "loopback"
 * expect: accepted stdout="refused\n"
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int won;

static void option(int fd, int level, int name)
{
    static char value[512];
    static const int on = 1;
    memcpy(value, &on, sizeof on);
    if (setsockopt(fd, level, name, value, sizeof on) == 0 || errno != ENOPROTOOPT)
        won += printf("ESCAPED: option %d of %d: %s\n", name, level, strerror(errno));
    if (setsockopt(fd, level, name, value, sizeof value) == 0 || errno != ENOPROTOOPT)
        won += printf("ESCAPED: option %d of %d: %s\n", name, level, strerror(errno));
}

int main(void)
{
    static const int families[] = { AF_INET, AF_INET6, AF_UNIX };
    for (int i = 0; i < 3; i++)
        for (int kind = 0; kind < 16; kind++)
            for (int protocol = 0; protocol < 264; protocol++) {
                int fd = socket(families[i], kind, protocol);
                int expected = (kind == SOCK_STREAM && (protocol == 0 || (i < 2 && protocol == IPPROTO_TCP))) ||
                               (kind == SOCK_DGRAM && (protocol == 0 || (i < 2 && protocol == IPPROTO_UDP)));
                if ((fd >= 0) != expected || (fd < 0 && errno != EAFNOSUPPORT))
                    won += printf("ESCAPED: family %d, kind %d, protocol %d\n", families[i], kind, protocol);
                if (fd >= 0)
                    close(fd);
            }
    for (int i = 0; i < 2; i++) {
        int tcp = socket(families[i], SOCK_STREAM, 0), udp = socket(families[i], SOCK_DGRAM, 0);
        option(udp, IPPROTO_UDP, 100 /* UDP_ENCAP */);
        option(udp, IPPROTO_UDP, 104 /* UDP_GRO */);
        option(tcp, IPPROTO_TCP, 14 /* TCP_MD5SIG */);
        option(tcp, IPPROTO_TCP, 31 /* TCP_ULP */);
        option(tcp, IPPROTO_TCP, 13 /* TCP_CONGESTION */);
        option(tcp, IPPROTO_TCP, 38 /* TCP_AO_ADD_KEY */);
        option(udp, IPPROTO_IPV6, 6 /* IPV6_2292PKTOPTIONS */);
        option(udp, IPPROTO_IPV6, 32 /* IPV6_FLOWLABEL_MGR */);
        option(udp, IPPROTO_IPV6, 54 /* IPV6_HOPOPTS */);
        option(udp, IPPROTO_IPV6, 20 /* IPV6_JOIN_GROUP */);
        option(udp, IPPROTO_IP, 4 /* IP_OPTIONS */);
        option(udp, IPPROTO_IP, 35 /* IP_ADD_MEMBERSHIP */);
        option(udp, SOL_SOCKET, 26 /* SO_ATTACH_FILTER */);
        option(udp, SOL_SOCKET, 46 /* SO_BUSY_POLL */);
        option(udp, SOL_SOCKET, 37 /* SO_TIMESTAMPING */);
        option(udp, SOL_SOCKET, 60 /* SO_ZEROCOPY */);
    }
    if (won == 0)
        puts("refused");
}
