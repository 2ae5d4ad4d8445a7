/*
 * attack: With a loopback network, leaves what a network can keep: a port in TIME_WAIT, counters, an abstract name, and
 * a listening child.  loopback_find.c looks for it.
 * part: yes
 * network: "loopback"
 * expect: accepted stdout="left\n"
 */
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(void)
{
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(4711), .sin_addr = { htonl(0x7f000001) } };
    struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0evalx-mark" };
    int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    int named = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(named, (struct sockaddr *)&name, offsetof(struct sockaddr_un, sun_path) + 11);
    if (bind(server, (struct sockaddr *)&here, sizeof here) < 0 || listen(server, 5) < 0 ||
        connect(client, (struct sockaddr *)&here, sizeof here) < 0) {
        perror("loopback");
        return 1;
    }
    int peer = accept(server, NULL, NULL);
    close(peer); /* the side that closes first keeps the port for a minute */
    close(client);
    here.sin_port = htons(4712);
    int other = socket(AF_INET, SOCK_STREAM, 0);
    bind(other, (struct sockaddr *)&here, sizeof here);
    listen(other, 5);
    if (fork() == 0) {
        setsid();
        pause();
    }
    puts("left");
}
