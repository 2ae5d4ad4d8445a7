/*
 * attack: Looks for names of the run before, held by sockets in flight.
 * after: name_in_flight_leave.c
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(void)
{
    int won = 0;
    int bound = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0evalx-left-behind" };
    if (bind(bound, (struct sockaddr *)&name, sizeof name) < 0)
        won += printf("ESCAPED: a name is left\n");
    if (won == 0)
        puts("refused");
}
