/*
 * attack: Watches files that are the host's own, its input among them, for what the host does with them.
 * limits: {"wall_time_ms": 2000}
 * host: open /usr/bin/env /dev/null /etc/ld.so.cache /usr/bin/gcc
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

int main(void)
{
    static const char *const watched[] = { "/usr/bin/env", "/proc/self/fd/0", "/dev/null", "/etc/ld.so.cache", "/usr/bin/gcc" };
    int fd = inotify_init1(IN_NONBLOCK);
    for (unsigned i = 0; i < sizeof watched / sizeof *watched; i++)
        inotify_add_watch(fd, watched[i], IN_ALL_EVENTS);
    usleep(600000 * @SLOW@);
    union {
        struct inotify_event event;
        char bytes[4096];
    } seen;
    if (read(fd, &seen, sizeof seen) > 0)
        printf("ESCAPED: watch %d saw %x\n", seen.event.wd, (unsigned)seen.event.mask);
    else
        puts("refused");
}
