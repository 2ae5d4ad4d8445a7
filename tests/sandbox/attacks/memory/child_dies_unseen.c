/*
 * attack: A child is killed for memory, its parent ends with 0 as if nothing had happened.
 * limits: {"memory_bytes": 67108864}
 * expect: memory_limit memory<=67108864
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    if (fork() == 0)
        for (;;) {
            char *block = malloc(1 << 20);
            if (block != NULL)
                memset(block, 1, 1 << 20);
        }
    wait(NULL);
    return 0;
}
