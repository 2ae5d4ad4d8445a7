/*
 * attack: With a loopback network, looks for what loopback_leave.c left in the same slot: its ports must be free, its
 * name unknown, and nobody may answer.  Nothing but the loopback interface is there.
 * after: loopback_leave.c
 * network: "loopback"
 * expect: accepted stdout="nothing\n"
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int won;

static void try_port(int port)
{
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(0x7f000001) } };
    int client = socket(AF_INET, SOCK_STREAM, 0), server = socket(AF_INET, SOCK_STREAM, 0);
    if (client < 0 || (connect(client, (struct sockaddr *)&here, sizeof here) < 0 && errno != ECONNREFUSED))
        won += printf("no loopback: %s\n", strerror(errno));
    else if (errno != ECONNREFUSED)
        won += printf("ESCAPED: port %d answers\n", port);
    if (bind(server, (struct sockaddr *)&here, sizeof here) < 0)
        won += printf("ESCAPED: port %d is in use\n", port);
}

int main(void)
{
    static const unsigned outside[] = { 0xa9fea9fe, 0x0a000001, 0x08080808 };
    struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0evalx-mark" };
    int named = socket(AF_UNIX, SOCK_STREAM, 0), any = socket(AF_INET, SOCK_DGRAM, 0);
    errno = 0;
    try_port(4711);
    errno = 0;
    try_port(4712);
    if (bind(named, (struct sockaddr *)&name, offsetof(struct sockaddr_un, sun_path) + 11) < 0)
        won += printf("ESCAPED: the name is taken\n");
    for (unsigned i = 0; i < 3; i++) {
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(80), .sin_addr = { htonl(outside[i]) } };
        if (connect(any, (struct sockaddr *)&to, sizeof to) == 0)
            won += printf("ESCAPED: a route to %08x\n", outside[i]);
    }
    for (int i = 2; i < 64; i++) {
        struct ifreq interface = { .ifr_ifindex = i };
        if (ioctl(any, SIOCGIFNAME, &interface) == 0 && ioctl(any, SIOCGIFFLAGS, &interface) == 0 &&
            (interface.ifr_flags & IFF_UP) != 0)
            won += printf("ESCAPED: interface %s is up\n", interface.ifr_name);
    }
    struct ifreq loopback = { .ifr_name = "lo" };
    if (ioctl(any, SIOCSIFFLAGS, &loopback) == 0)
        won += printf("ESCAPED: the interface could be changed\n");
    static const char *const files[] = { "/proc/self/net/snmp", "/proc/self/net/sockstat", "/proc/self/net/tcp" };
    for (unsigned i = 0; i < 3; i++)
        if (open(files[i], O_RDONLY) >= 0)
            won += printf("ESCAPED: %s can be read\n", files[i]);
    if (won == 0)
        puts("nothing");
}
