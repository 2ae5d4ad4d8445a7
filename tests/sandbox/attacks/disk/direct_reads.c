/*
 * attack: Reads past the page cache, so that the host's disk works for it, and reads into the cache what it never uses.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    static const char *const files[] = { "/usr/bin/env", "/lib/x86_64-linux-gnu/libc.so.6", "/box/mine", "/dev/null" };
    int won = 0;
    close(open("/box/mine", O_CREAT | O_RDWR, 0600));
    for (int i = 0; i < 4; i++) {
        if (open(files[i], O_RDONLY | O_DIRECT) >= 0 || errno != EINVAL)
            won += printf("ESCAPED: open of %s\n", files[i]);
        if (openat(AT_FDCWD, files[i], O_RDONLY | O_DIRECT | O_CLOEXEC) >= 0 || errno != EINVAL)
            won += printf("ESCAPED: openat of %s\n", files[i]);
        unsigned long how[3] = { O_DIRECT };
        if (syscall(437 /* openat2 */, AT_FDCWD, files[i], how, sizeof how) >= 0 || errno != ENOSYS)
            won += printf("ESCAPED: openat2 of %s\n", files[i]);
        int fd = open(files[i], O_RDONLY);
        if (fcntl(fd, F_SETFL, O_DIRECT) == 0 || fcntl(fd, F_SETFL, O_DIRECT | O_NONBLOCK | O_APPEND) == 0)
            won += printf("ESCAPED: F_SETFL of %s\n", files[i]);
        if (syscall(SYS_sync_file_range, fd, 0, 4096, 7) == 0 || syscall(SYS_preadv2, fd, NULL, 0, 0, 0, 8) >= 0)
            won += printf("ESCAPED: the disk of %s\n", files[i]);
        if (readahead(fd, 0, 1 << 20) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED) != 0)
            won += printf("reading ahead is an error\n");
        close(fd);
    }
    if (won == 0)
        puts("refused");
}
