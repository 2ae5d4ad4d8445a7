/*
 * attack: Leaves a hint of the data's lifetime on what it can open: the inode keeps it, for the next run to read.
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
    static const char *const paths[] = { "/dev/null", "/dev/zero", "/usr/bin/bash", "/etc", "/box", "/tmp", "/proc" };
    static const long high[] = { 0, 1L << 32, -1L << 32 };
    int won = 0;
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++)
        for (unsigned j = 0; j < 3; j++) {
            unsigned long hint = 5; /* RWH_WRITE_LIFE_EXTREME */
            int fd = open(paths[i], O_RDONLY);
            if (syscall(SYS_fcntl, fd, F_SET_RW_HINT | high[j], &hint) == 0 ||
                syscall(SYS_fcntl, fd, F_SET_FILE_RW_HINT | high[j], &hint) == 0 || errno != EINVAL)
                won += printf("ESCAPED: %s\n", paths[i]);
            close(fd);
        }
    if (won == 0)
        puts("refused");
}
