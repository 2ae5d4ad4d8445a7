/*
 * attack: Makes its pipe a mebibyte large and floods it from four processes, so that its reader never finds it empty.
 * limits: {"output_bytes": 4096, "cpu_time_ms": 4000}
 * expect: output_limit stdout<=1m wall<=2000
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

int main(void)
{
    static char block[1 << 16];
    (void)fcntl(1, F_SETPIPE_SZ, 1 << 20);
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            break;
    for (;;)
        (void)!write(1, block, sizeof block);
}
