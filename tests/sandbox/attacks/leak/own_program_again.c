/*
 * attack: Leaves marks on its own executable, which the next runs of the same program may share: owner, mode, times,
 * attack: attributes, hint, lease, lock, content by every way to it. No run finds one.
 * copies: 8
 * expect: accepted stdout="none\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Large enough to be worth sharing. */
static const char bulk[400000] = { 1, 2, 3 };
static const volatile char *const kept = bulk;

static void leave_lock_in_flight(int fd)
{
    int pair[2];
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr head;
    } control = { .head = { .cmsg_len = CMSG_LEN(2 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
    struct iovec part = { "x", 1 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
        return;
    memcpy(CMSG_DATA(&control.head), (int[]){ fd, pair[0] }, 2 * sizeof(int));
    (void)sendmsg(pair[1], &message, 0); /* itself in its own queue: nobody can close it */
}

int main(void)
{
    struct stat st;
    char value[64];
    int won = 0, fd = open("/proc/self/exe", O_RDONLY);
    uint64_t hint = 5;
    if (fd < 0 || fstat(fd, &st) < 0 || kept[2] != 3)
        return 1;
    if ((st.st_mode & 07777) != 0755 || st.st_mtime == 4711 || st.st_atime == 4711)
        won += printf("ESCAPED: mode %o, times %ld %ld\n", st.st_mode, (long)st.st_atime, (long)st.st_mtime);
    if (fgetxattr(fd, "user.mark", value, sizeof value) > 0)
        won += printf("ESCAPED: an attribute\n");
    if (fcntl(fd, F_GET_RW_HINT, &hint) == 0 && hint == 4)
        won += printf("ESCAPED: a hint\n");
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        won += printf("ESCAPED: a lock\n");
    if (access("/box/mark", F_OK) == 0)
        won += printf("ESCAPED: a file\n");
    if (won == 0)
        puts("none");
    fflush(stdout);

    hint = 4;
    (void)fcntl(fd, F_SET_RW_HINT, &hint);
    (void)fcntl(fd, F_SETLEASE, F_RDLCK);
    (void)fsetxattr(fd, "user.mark", "1", 1, 0);
    (void)futimens(fd, (struct timespec[2]){ { 4711, 0 }, { 4711, 0 } });
    (void)fchmod(fd, 0777);
    (void)fchown(fd, getuid(), getgid());
    (void)link("/box/main", "/box/mark");
    (void)rename("/box/main", "/box/mark");
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED)
        memset(page, 0, 4096);
    static const char *const paths[] = { "/box/main", "/box/mark", "/proc/self/exe" };
    for (unsigned i = 0; i < 3; i++) {
        int to = open(paths[i], O_WRONLY);
        (void)!pwrite(to, "#!/bin/sh\necho ESCAPED\n", 23, 0);
        (void)!truncate(paths[i], 23);
    }
    leave_lock_in_flight(fd);
    return 0;
}
