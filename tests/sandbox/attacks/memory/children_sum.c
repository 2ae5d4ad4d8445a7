/*
 * attack: Twelve children below the limit each; the limit is for all of them together.
 * limits: {"memory_bytes": 67108864, "wall_time_ms": 3000}
 * expect: memory_limit memory<=67108864
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    for (int i = 0; i < 12; i++)
        if (fork() == 0) {
            volatile char *block = malloc(16 << 20);
            for (long at = 0; block != NULL && at < 16 << 20; at += 4096)
                block[at] = 1;
            sleep(1);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
}
