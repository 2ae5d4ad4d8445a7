/*
 * attack: Leaves a name in the slot's network, held by a socket in flight that outlives its run.
 * copies: 4
 * expect: accepted stdout="left\n"
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void send_all(int over, const int *fds, size_t len)
{
    char space[CMSG_SPACE(sizeof(int) * 8)] = { 0 };
    struct iovec byte = { "x", 1 };
    struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1, .msg_control = space,
                              .msg_controllen = CMSG_SPACE(sizeof(int) * len) };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * len);
    memcpy(CMSG_DATA(head), fds, sizeof(int) * len);
    if (sendmsg(over, &message, 0) < 0)
        perror("sendmsg");
}

int main(void)
{
    int pair[2], bound = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0evalx-left-behind" };
    if (bind(bound, (struct sockaddr *)&name, sizeof name) < 0)
        puts("ESCAPED: the name is there already");
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    const int fds[] = { pair[0], pair[1], bound };
    send_all(pair[0], fds, 3);
    puts("left");
    fflush(stdout);
    _exit(0);
}
