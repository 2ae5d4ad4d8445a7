/*
 * attack: Locks files that are the host's own, and holds on; the host gets its locks all the same.
 * limits: {"wall_time_ms": 2000}
 * host: lock /usr/bin/env /etc/ld.so.cache /usr/bin/gcc /dev/null
 * expect: accepted stdout="held\n"
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

int main(void)
{
    static const char *const shared[] = { "/usr/bin/env", "/etc/ld.so.cache", "/usr/bin/gcc", "/dev/null", "/" };
    for (unsigned i = 0; i < sizeof shared / sizeof *shared; i++)
        flock(open(shared[i], O_RDONLY), LOCK_EX | LOCK_NB);
    flock(0, LOCK_EX | LOCK_NB);
    usleep(600000 * @SLOW@);
    puts("held");
}
