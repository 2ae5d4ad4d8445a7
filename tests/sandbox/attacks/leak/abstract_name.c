/*
 * attack: Binds the same names in several boxes at once; each has its own, so that none finds one taken.
 * network: "loopback"
 * copies: 4
 * expect: accepted stdout="mine\n"
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
    struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0evalx-mark" };
    struct sockaddr_in port = { .sin_family = AF_INET, .sin_port = htons(4321) };
    int first = bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&name, sizeof name);
    int tcp = socket(AF_INET, SOCK_STREAM, 0);
    int second = bind(tcp, (struct sockaddr *)&port, sizeof port) < 0 || listen(tcp, 1) < 0;
    usleep(150000);
    puts(first == 0 && second == 0 ? "mine" : "ESCAPED: taken by a neighbour");
}
