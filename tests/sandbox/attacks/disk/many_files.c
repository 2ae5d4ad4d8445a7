/*
 * attack: Empty files without end: inodes run out before memory does.
 * limits: {"memory_bytes": 268435456, "cpu_time_ms": 4000}
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    char name[40];
    int made = 0;
    for (; made < 200000; made++) {
        snprintf(name, sizeof name, "/tmp/%d", made);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        if (fd < 0)
            break;
        close(fd);
    }
    puts(made < 50000 ? "refused" : "ESCAPED: too many files");
}
