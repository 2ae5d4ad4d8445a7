/*
 * attack: Names without end for one file: they cost memory though no inode.
 * limits: {"memory_bytes": 67108864, "cpu_time_ms": 3000}
 * expect: accepted stdout~"^refused"
 * expect: memory_limit|time_limit
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    char name[200];
    int made = 0;
    close(open("/tmp/file", O_CREAT | O_WRONLY, 0600));
    for (; made < 2000000; made++) {
        snprintf(name, sizeof name, "/tmp/%0150d", made);
        if (link("/tmp/file", name) < 0)
            break;
    }
    printf(made < 2000000 ? "refused after %d\n" : "ESCAPED: %d links\n", made);
}
