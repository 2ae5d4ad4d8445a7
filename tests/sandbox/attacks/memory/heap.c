/*
 * attack: Takes and touches memory without end.
 * limits: {"memory_bytes": 67108864}
 * expect: memory_limit memory<=67108864
 */
#include <stdlib.h>
#include <string.h>

int main(void)
{
    for (;;) {
        char *block = malloc(1 << 20);
        if (block != NULL)
            memset(block, 1, 1 << 20);
    }
}
