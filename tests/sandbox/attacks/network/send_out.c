/*
 * attack: Sends datagrams out, broadcasts and multicasts, to listeners of the host among others.
 * expect: accepted stdout="refused\n"
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void)
{
    static const struct { const char *host; int port; } targets[] = {
        { "127.0.0.1", @UDP_PORT@ }, { "8.8.8.8", 53 }, { "169.254.169.254", 80 }, { "255.255.255.255", 67 },
        { "224.0.0.251", 5353 }, { "0.0.0.0", @UDP_PORT@ },
    };
    /* To 0.0.0.0 the kernel takes it and drops it: the runner's listener is what would notice. */
    int won = 0;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes);
    for (unsigned i = 0; i < sizeof targets / sizeof *targets; i++) {
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((unsigned short)targets[i].port) };
        inet_pton(AF_INET, targets[i].host, &to.sin_addr);
        if (sendto(fd, "ESCAPED", 7, 0, (struct sockaddr *)&to, sizeof to) >= 0)
            won += targets[i].host[0] != '0' && printf("ESCAPED: %s\n", targets[i].host);
    }
    if (won == 0)
        puts("refused");
}
