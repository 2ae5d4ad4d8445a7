/*
 * attack: Leaves sockets of the internet, bound, in a queue that nobody can read any more, a loop of local sockets which
 * attack: only the kernel's collector takes down. The next run finds none of their ports taken.
 * network: "loopback"
 * copies: 12
 * expect: accepted stdout="mine\n"
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int bound(int family, int type)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(4322) };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(4321) };
    int fd = socket(family, type, 0);
    if (fd < 0)
        return -1;
    int result = family == AF_INET ? bind(fd, (struct sockaddr *)&four, sizeof four)
                                   : bind(fd, (struct sockaddr *)&six, sizeof six);
    if (result < 0 || (type == SOCK_STREAM && listen(fd, 1) < 0)) {
        puts("ESCAPED: a port is taken");
        return -1;
    }
    return fd;
}

int main(void)
{
    int fds[6] = { bound(AF_INET, SOCK_STREAM), bound(AF_INET, SOCK_DGRAM), bound(AF_INET6, SOCK_STREAM),
                   bound(AF_INET6, SOCK_DGRAM) };
    int len = 0;
    for (int i = 0; i < 4; i++) /* a host may be without the sixth version */
        if (fds[i] >= 0)
            fds[len++] = fds[i];
    if (len < 2 || socketpair(AF_UNIX, SOCK_DGRAM, 0, fds + len) < 0)
        return 1;
    union {
        char bytes[CMSG_SPACE(sizeof fds)];
        struct cmsghdr head;
    } control = { .head = { .cmsg_len = CMSG_LEN((len + 2) * sizeof *fds),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS } };
    struct iovec part = { "x", 1 };
    struct msghdr message = { .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = CMSG_SPACE((len + 2) * sizeof *fds) };
    memcpy(CMSG_DATA(&control.head), fds, (len + 2) * sizeof *fds);
    /* Each of the pair in the other's queue. */
    if (sendmsg(fds[len], &message, 0) < 0 || sendmsg(fds[len + 1], &message, 0) < 0)
        return 1;
    puts("mine");
    return 0;
}
