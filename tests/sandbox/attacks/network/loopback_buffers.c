/*
 * attack: leaves data unread in 1800 TCP connections and 200 UDP sockets of its loopback network.  Buffers count as
 * memory of the run, so they hold less than its limit.
 * network: "loopback"
 * limits: {"memory_bytes": 33554432, "cpu_time_ms": 20000, "wall_time_ms": 60000}
 * expect: accepted stdout="refused\n" memory<=64m
 * expect: memory_limit
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROCESSES 4
#define LIMIT (32l << 20)

static char data[60000];

static int bound_socket(int type, struct sockaddr_in *address)
{
    socklen_t len = sizeof *address;
    int fd = socket(AF_INET, type, 0), size = 4 << 20;
    *address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (fd < 0 || bind(fd, (void *)address, len) < 0 || getsockname(fd, (void *)address, &len) < 0)
        return -1;
    return fd;
}

static long fill_streams(void)
{
    long held = 0;
    struct sockaddr_in address;
    int listener = bound_socket(SOCK_STREAM, &address), size = 4 << 20;
    if (listener < 0 || listen(listener, 1000) < 0)
        return 0;
    for (int i = 0; i < 450; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        connect(fd, (void *)&address, sizeof address);
        accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        for (ssize_t sent; (sent = write(fd, data, sizeof data)) > 0;)
            held += sent;
    }
    return held;
}

static long fill_datagrams(void)
{
    long held = 0;
    int sender = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    for (int i = 0; i < 50; i++) {
        struct sockaddr_in address;
        int fd = bound_socket(SOCK_DGRAM, &address), pending = 0;
        for (int k = 0; fd >= 0 && k < 8; k++)
            sendto(sender, data, sizeof data, 0, (void *)&address, sizeof address);
        /* Of a datagram socket this is the size of the next one. */
        if (fd >= 0 && ioctl(fd, FIONREAD, &pending) == 0)
            held += pending;
    }
    return held;
}

int main(void)
{
    int held[2], done[2];
    long sum = 0, one;
    if (pipe(held) < 0 || pipe(done) < 0)
        return 1;
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            one = fill_streams() + fill_datagrams();
            close(done[1]);
            write(held[1], &one, sizeof one);
            return (int)read(done[0], data, 1); /* the sockets stay open until all have filled theirs */
        }
    close(held[1]);
    for (int i = 0; i < PROCESSES && read(held[0], &one, sizeof one) == sizeof one; i++)
        sum += one;
    if (sum > LIMIT)
        printf("ESCAPED: %ld MiB in sockets\n", sum >> 20);
    else
        puts("refused");
    return 0;
}
