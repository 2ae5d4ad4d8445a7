/*
 * attack: Locks, leases, watches and signals on inodes that the whole host shares: those of eventfd, epoll and timerfd,
 * and a namespace of /proc.  A second descriptor of the same inode must find none.
 * expect: accepted stdout="nothing\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int open_one(int kind)
{
    switch (kind) {
    case 0:
        return eventfd(0, 0);
    case 1:
        return epoll_create1(0);
    case 2:
        return timerfd_create(CLOCK_MONOTONIC, 0);
    case 3:
        return open("/proc/self/ns/time", O_RDONLY);
    default:
        return open("/dev/null", O_RDWR);
    }
}

int main(void)
{
    int won = 0, on = 1;
    for (int kind = 0; kind < 5; kind++) {
        int first = open_one(kind), second = open_one(kind);
        if (first < 0 || second < 0)
            continue;
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1 }, found = lock;
        flock(first, LOCK_EX | LOCK_NB);
        if (flock(second, LOCK_EX | LOCK_NB) < 0)
            won += printf("ESCAPED: flock on kind %d\n", kind);
        fcntl(first, F_OFD_SETLK, &lock);
        if (fcntl(second, F_OFD_SETLK, &lock) < 0)
            won += printf("ESCAPED: a lock on kind %d\n", kind);
        if (fcntl(second, F_GETLK, &found) == 0 && found.l_type != F_UNLCK)
            won += printf("ESCAPED: a lock is found on kind %d\n", kind);
        if (fcntl(first, F_SETLEASE, F_RDLCK) == 0 || fcntl(first, F_NOTIFY, DN_ACCESS | DN_MULTISHOT) == 0)
            won += printf("ESCAPED: a lease or watch on kind %d\n", kind);
        if (fcntl(first, F_SETOWN, getpid()) == 0 || fcntl(first, F_SETSIG, 10) == 0 || ioctl(first, FIOASYNC, &on) == 0 ||
            fcntl(first, F_SETFL, O_ASYNC) == 0)
            won += printf("ESCAPED: signals of kind %d\n", kind);
    }
    if (inotify_init1(0) >= 0 || inotify_init() >= 0)
        won += printf("ESCAPED: watches\n");
    if (won == 0)
        puts("nothing");
}
