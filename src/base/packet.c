/*
 * packet: sendmsg(2) and recvmsg(2) with SCM_RIGHTS.  Allocates nothing and logs nothing, so any process may link it.
 */
#include "base/packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 12

union control_space {
    char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    struct cmsghdr align;
};

int packet_send(int socket, const void *bytes, size_t len, const int fds[], size_t fds_len)
{
    if (fds_len > FDS_MAX) {
        errno = EINVAL;
        return -1;
    }
    struct iovec part = { .iov_base = (void *)bytes, .iov_len = len };
    union control_space control;
    memset(&control, 0, sizeof control);
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (fds_len > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fds_len);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * fds_len);
        memcpy(CMSG_DATA(head), fds, sizeof(int) * fds_len);
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return -1;
    if ((size_t)sent != len) {
        errno = EMSGSIZE;
        return -1;
    }
    return 0;
}

static size_t take_fds(struct msghdr *message, int fds[], size_t fds_max, int *ret_surplus)
{
    size_t taken = 0;
    *ret_surplus = (message->msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL; head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof fd);
            if (taken < fds_max) {
                fds[taken++] = fd;
            } else {
                (void)close(fd);
                *ret_surplus = 1;
            }
        }
    }
    return taken;
}

ssize_t packet_receive_some(int socket, void *bytes, size_t len_min, size_t len_max, int fds[], size_t fds_max,
                            size_t *ret_fds_len, int flags)
{
    struct iovec part = { .iov_base = bytes, .iov_len = len_max };
    union control_space control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
    };
    ssize_t got;
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -1;

    int surplus = 0;
    size_t taken = take_fds(&message, fds, fds_max, &surplus);
    if (got == 0 && taken == 0) /* nobody sends empty packets: the other end has closed */
        return 0;
    if ((size_t)got < len_min || (message.msg_flags & MSG_TRUNC) != 0 || surplus) {
        for (size_t i = 0; i < taken; i++)
            (void)close(fds[i]);
        errno = EBADMSG;
        return -1;
    }
    if (ret_fds_len != NULL)
        *ret_fds_len = taken;
    return got;
}

int packet_receive(int socket, void *bytes, size_t len, int fds[], size_t fds_max, size_t *ret_fds_len, int flags)
{
    ssize_t got = packet_receive_some(socket, bytes, len, len, fds, fds_max, ret_fds_len, flags);
    return got > 0 ? 1 : (int)got;
}
