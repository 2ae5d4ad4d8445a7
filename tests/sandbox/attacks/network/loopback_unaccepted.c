/*
 * attack: makes 40,000 TCP connections that its servers never accept, and closes its own ends.  The kernel charges no
 * process for the other ends, so the slot counts them.
 * network: "loopback"
 * limits: {"memory_bytes": 33554432, "cpu_time_ms": 20000, "wall_time_ms": 60000}
 * expect: memory_limit
 */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    int made = 0;
    for (int i = 0; i < 12; i++) {
        struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof here;
        int server = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(server, (void *)&here, len) < 0 || listen(server, 4096) < 0 ||
            getsockname(server, (void *)&here, &len) < 0)
            return 1;
        for (int k = 0; k < 3500; k++) {
            int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            connect(client, (void *)&here, len);
            made += client >= 0;
            close(client);
        }
    }
    printf(made < 40000 ? "refused\n" : "ESCAPED: %d connections that nobody is charged for\n", made);
    return 0;
}
