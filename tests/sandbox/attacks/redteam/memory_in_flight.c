/*
 * attack: Memory sent to nobody, 100 MiB a run, which the next run of the same must not find taken from it.
 * copies: 8
 * expect: accepted stdout="sent\n"
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
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
    int pair[2], fds[6];
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    fds[0] = pair[0];
    fds[1] = pair[1];
    for (int i = 2; i < 6; i++) {
        fds[i] = memfd_create("m", 0);
        char *at = ftruncate(fds[i], 25 << 20) < 0 ? MAP_FAILED
                                                   : mmap(NULL, 25 << 20, PROT_WRITE, MAP_SHARED, fds[i], 0);
        if (at != MAP_FAILED)
            memset(at, 1, 25 << 20);
    }
    send_all(pair[0], fds, 6);
    puts("sent");
}
