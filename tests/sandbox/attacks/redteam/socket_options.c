/*
 * attack: Options of the sockets it may have that load kernel modules, or need rights over the network.
 * network: "loopback"
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int won;

static void with_name(int fd, int level, int option, const char *name)
{
    if (setsockopt(fd, level, option, name, (socklen_t)strlen(name)) == 0)
        won += printf("ESCAPED: option %d.%d %s\n", level, option, name);
}

static void request(int fd, unsigned long what, const char *name)
{
    struct ifreq ask;
    memset(&ask, 0, sizeof ask);
    snprintf(ask.ifr_name, sizeof ask.ifr_name, "%s", name);
    ask.ifr_flags = IFF_UP;
    if (ioctl(fd, what, &ask) == 0)
        won += printf("ESCAPED: request %lx of %s\n", what, name);
}

int main(void)
{
    int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0), big = 1 << 30, on = 1;
    char table[256] = "filter";
    with_name(tcp, IPPROTO_TCP, TCP_ULP, "tls");
    with_name(tcp, IPPROTO_TCP, TCP_ULP, "espintcp");
    with_name(tcp, IPPROTO_TCP, TCP_ULP, "smc");
    with_name(tcp, IPPROTO_TCP, TCP_CONGESTION, "dctcp");
    with_name(tcp, IPPROTO_TCP, TCP_CONGESTION, "highspeed");
    if (setsockopt(tcp, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big) == 0 ||
        setsockopt(tcp, SOL_SOCKET, SO_DEBUG, &on, sizeof on) == 0 ||
        setsockopt(tcp, SOL_SOCKET, SO_MARK, &on, sizeof on) == 0)
        won += printf("ESCAPED: a forced option\n");
    if (setsockopt(udp, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof on) == 0 ||
        setsockopt(udp, IPPROTO_IP, 64 /* IPT_SO_SET_REPLACE */, table, sizeof table) == 0)
        won += printf("ESCAPED: tables of packets\n");
    request(udp, SIOCSIFFLAGS, "lo");
    request(udp, SIOCGIFFLAGS, "eth0");
    request(udp, SIOCGIFHWADDR, "eth0");
    request(udp, 0x89a0 /* SIOCBRADDBR */, "br0");
    request(udp, 0x8982 /* SIOCGIFVLAN */, "eth0");
    if (won == 0)
        puts("refused");
}
