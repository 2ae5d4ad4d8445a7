/*
 * attack: Long symbolic links: each keeps a page of its own.
 * limits: {"memory_bytes": 50331648, "cpu_time_ms": 3000}
 * expect: accepted stdout~"^refused"
 * expect: memory_limit memory<=50331648
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    char target[4000], name[40];
    memset(target, 't', sizeof target);
    target[sizeof target - 1] = '\0';
    int made = 0;
    for (; made < 100000; made++) {
        snprintf(name, sizeof name, "/tmp/%d", made);
        if (symlink(target, name) < 0)
            break;
    }
    printf(made < 50000 ? "refused after %d\n" : "ESCAPED: %d links\n", made);
}
