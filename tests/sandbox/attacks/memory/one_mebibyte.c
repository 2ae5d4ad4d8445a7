/*
 * attack: The smallest limit a client may ask for; the run ends at once and the slot is whole afterwards.
 * limits: {"memory_bytes": 1048576}
 * expect: memory_limit memory<=1048576
 * expect: accepted memory<=1048576
 */
#include <stdio.h>

int main(void)
{
    puts("small");
}
