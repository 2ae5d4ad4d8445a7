/*
 * attack: Makes itself the last one the kernel would kill when the machine runs out of memory.
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);
    int old = open("/proc/self/oom_adj", O_WRONLY);
    if (fd >= 0 && (write(fd, "-1000", 5) > 0 || write(fd, "-1", 2) > 0))
        puts("ESCAPED: oom_score_adj");
    else if (old >= 0 && write(old, "-17", 3) > 0)
        puts("ESCAPED: oom_adj");
    else
        puts("refused");
}
