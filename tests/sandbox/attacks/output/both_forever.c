/*
 * attack: Floods both streams at once from several processes.
 * limits: {"output_bytes": 65536, "cpu_time_ms": 3000}
 * expect: output_limit
 */
#include <string.h>
#include <unistd.h>

int main(void)
{
    char block[4096];
    memset(block, 'y', sizeof block);
    for (int i = 0; i < 6; i++)
        if (fork() == 0)
            break;
    for (;;)
        if (write(1, block, sizeof block) < 0 || write(2, block, sizeof block) < 0)
            return 1;
}
