/*
 * attack: Hides memory in anonymous files that no process has mapped.
 * limits: {"memory_bytes": 67108864}
 * expect: memory_limit memory<=67108864
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

static char block[1 << 20];

int main(void)
{
    for (int i = 0; i < 900; i++) {
        int fd = memfd_create("hoard", 0);
        if (write(fd, block, sizeof block) < 0)
            return 1;
    }
    return 0;
}
