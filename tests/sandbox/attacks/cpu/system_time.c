/*
 * attack: Spends its time inside the kernel; system time counts as CPU time.
 * limits: {"cpu_time_ms": 250, "wall_time_ms": 5000}
 * expect: time_limit cpu>=250 cpu<=400
 */
#include <fcntl.h>
#include <unistd.h>

static char bytes[1 << 20];

int main(void)
{
    int fd = open("/dev/urandom", O_RDONLY);
    while (read(fd, bytes, sizeof bytes) > 0)
        ;
}
