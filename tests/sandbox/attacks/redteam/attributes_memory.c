/*
 * attack: Kernel memory by attributes and long links on files of no size.
 * limits: {"memory_bytes": 67108864, "cpu_time_ms": 3000}
 * expect: accepted memory<=67108864
 * expect: memory_limit memory<=67108864
 * expect: time_limit memory<=67108864
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

int main(void)
{
    static char value[60000], target[4000];
    memset(target, 'x', sizeof target - 1);
    long made = 0;
    for (int i = 0; i < 20000; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "/box/f%d", i);
        int fd = open(name, O_WRONLY | O_CREAT, 0600);
        if (fd < 0)
            break;
        made += fsetxattr(fd, "user.a", value, sizeof value, 0) == 0;
        close(fd);
        (void)snprintf(name, sizeof name, "/tmp/l%d", i);
        made += symlink(target, name) == 0;
    }
    printf("%s\n", made >= 0 ? "done" : "");
}
