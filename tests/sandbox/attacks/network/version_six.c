/*
 * attack: The same by IPv6: loopback, link-local, global, mapped addresses of the other family.
 * expect: accepted stdout="refused\n"
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    static const char *const hosts[] = { "::1", "fe80::1", "2001:4860:4860::8888", "::ffff:127.0.0.1", "ff02::1", "fd00:ec2::254" };
    int won = 0;
    for (unsigned i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(@TCP_PORT@) };
        inet_pton(AF_INET6, hosts[i], &to.sin6_addr);
        int fd = socket(AF_INET6, SOCK_STREAM, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
            won += printf("ESCAPED: %s\n", hosts[i]);
        close(fd);
        fd = socket(AF_INET6, SOCK_DGRAM, 0);
        if (fd >= 0 && sendto(fd, "ESCAPED", 7, 0, (struct sockaddr *)&to, sizeof to) >= 0)
            won += printf("ESCAPED: datagram to %s\n", hosts[i]);
        close(fd);
    }
    if (won == 0)
        puts("refused");
}
