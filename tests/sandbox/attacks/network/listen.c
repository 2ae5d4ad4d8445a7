/*
 * attack: Listens on the host's addresses and waits for somebody; the host finds nobody there.
 * limits: {"wall_time_ms": 2000}
 * host: no-listener @LISTEN_PORT@
 * expect: accepted stdout="alone\n"
 */
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(@LISTEN_PORT@) };
    bind(fd, (struct sockaddr *)&here, sizeof here);
    listen(fd, 5);
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    puts(poll(&wait, 1, 600 * @SLOW@) <= 0 || (wait.revents & POLLIN) == 0 ? "alone" : "ESCAPED: a visitor");
}
