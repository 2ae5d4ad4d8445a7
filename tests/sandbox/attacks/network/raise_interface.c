/*
 * attack: Brings its network up: flags, addresses, routes, bridges, tunnels, by ioctl.
 * expect: accepted stdout="refused\n"
 */
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int main(void)
{
    int won = 0;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = { .ifr_name = "lo" };
    request.ifr_flags = IFF_UP | IFF_RUNNING | IFF_PROMISC;
    if (ioctl(fd, SIOCSIFFLAGS, &request) == 0)
        won += printf("ESCAPED: lo is up\n");
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001) };
    memcpy(&request.ifr_addr, &address, sizeof address);
    if (ioctl(fd, SIOCSIFADDR, &request) == 0 || ioctl(fd, SIOCBRADDBR, "br0") == 0)
        won += printf("ESCAPED: address or bridge\n");
    struct rtentry route = { .rt_flags = RTF_UP };
    memcpy(&route.rt_dst, &address, sizeof address);
    memcpy(&route.rt_gateway, &address, sizeof address);
    if (ioctl(fd, SIOCADDRT, &route) == 0)
        won += printf("ESCAPED: route\n");
    struct if_nameindex *all = if_nameindex();
    for (int i = 0; all != NULL && all[i].if_index != 0; i++)
        if (strcmp(all[i].if_name, "lo") != 0 && strstr(all[i].if_name, "0") == NULL)
            won += printf("ESCAPED: interface %s\n", all[i].if_name);
    if (open("/dev/net/tun", O_RDWR) >= 0)
        won += printf("ESCAPED: tun\n");
    int mark = 7;
    if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &mark, sizeof mark) == 0)
        won += printf("ESCAPED: options of an administrator\n");
    if (won == 0)
        puts("refused");
}
