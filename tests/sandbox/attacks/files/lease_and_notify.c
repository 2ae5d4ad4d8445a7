/*
 * attack: Leases, mandatory locks and directory notices on files it shares with others.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

int main(void)
{
    static const char *const shared[] = { "/usr/bin/env", "/etc/passwd", "/etc/ld.so.cache", "/dev/null" };
    int won = 0;
    for (unsigned i = 0; i < sizeof shared / sizeof *shared; i++) {
        int fd = open(shared[i], O_RDONLY);
        if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
            won += printf("ESCAPED: lease on %s\n", shared[i]);
    }
    if (won == 0)
        puts("refused");
}
