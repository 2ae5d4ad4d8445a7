/*
 * attack: Its stdout, sent over sockets that nobody can receive from any more, stays open when all are dead; the
 * end of the run must not wait for it.
 * copies: 6
 * expect: accepted stdout="sent\n" wall<=1000
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
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
    int pair[2];
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    puts("sent");
    fflush(stdout);
    const int fds[] = { pair[0], pair[1], 1, 2 };
    send_all(pair[0], fds, 4);
    _exit(0);
}
