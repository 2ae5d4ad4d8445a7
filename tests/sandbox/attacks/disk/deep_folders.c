/*
 * attack: Folders in folders, thousands deep, which no recursive removal would like.
 * limits: {"memory_bytes": 268435456, "cpu_time_ms": 3000}
 * expect: accepted stdout="deep\n"
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    for (int depth = 0; depth < 12000; depth++)
        if (mkdir("d", 0700) < 0 || chdir("d") < 0)
            break;
    puts("deep");
}
